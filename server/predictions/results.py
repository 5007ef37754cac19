"""The stored form of a result: plain JSON, so that it can be read with SQL and outlives a change of the contract."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from server.predictions.model import (
    Band,
    ContractRiskResult,
    Contribution,
    Direction,
    PerformanceResult,
    SpendPoint,
    SpendResult,
    TurnoverResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.predictions.model import Likelihood, Result


class StoredContribution(TypedDict):
    """JSON of a `Contribution`."""

    feature: str
    direction: str
    contribution: float
    band: str


class StoredLikelihood(TypedDict):
    """JSON of a `Likelihood`; `likely` is for those who read it with SQL."""

    kind: Literal["turnover", "contract_risk", "performance"]
    score: float
    likely: bool
    confidence: float
    contributions: list[StoredContribution]
    model_was_drifting: bool


class StoredPoint(TypedDict):
    """JSON of a `SpendPoint`."""

    period: str
    median: float
    low: float
    high: float


class StoredSpend(TypedDict):
    """JSON of a `SpendResult`."""

    kind: Literal["spend"]
    points: list[StoredPoint]
    level: float
    confidence: float
    contributions: list[StoredContribution]
    model_was_drifting: bool


Stored: TypeAlias = StoredLikelihood | StoredSpend

_LIKELIHOODS: Mapping[str, type[TurnoverResult | ContractRiskResult | PerformanceResult]] = {
    "turnover": TurnoverResult,
    "contract_risk": ContractRiskResult,
    "performance": PerformanceResult,
}


def to_json(result: Result) -> Stored:
    """Write a result."""
    match result:
        case SpendResult():
            return {
                "kind": "spend",
                "points": [
                    {"period": point.period.isoformat(), "median": point.median, "low": point.low, "high": point.high}
                    for point in result.points
                ],
                "level": result.level,
                "confidence": result.confidence,
                "contributions": _contributions(result.contributions),
                "model_was_drifting": result.model_was_drifting,
            }
        case TurnoverResult():
            return _likelihood("turnover", result)
        case ContractRiskResult():
            return _likelihood("contract_risk", result)
        case PerformanceResult():
            return _likelihood("performance", result)


def from_json(stored: Stored) -> Result:
    """Read what `to_json` wrote; a result without a kind is of a release that knew turnover only."""
    contributions = tuple(
        Contribution(item["feature"], Direction(item["direction"]), item["contribution"], Band(item["band"]))
        for item in stored["contributions"]
    )
    if stored.get("kind") == "spend":
        return _spend(stored, contributions)  # type: ignore[arg-type]  # told by its kind
    made = _LIKELIHOODS[stored.get("kind", "turnover")]
    return made(stored["score"], stored["confidence"], contributions, stored["model_was_drifting"])  # type: ignore[typeddict-item]


def _spend(stored: StoredSpend, contributions: tuple[Contribution, ...]) -> SpendResult:
    points = tuple(
        SpendPoint(date.fromisoformat(point["period"]), point["median"], point["low"], point["high"]) for point in stored["points"]
    )
    return SpendResult(points, stored["level"], stored["confidence"], contributions, stored["model_was_drifting"])


def _likelihood(kind: Literal["turnover", "contract_risk", "performance"], result: Likelihood) -> StoredLikelihood:
    return {
        "kind": kind,
        "score": result.score,
        "likely": result.likely,
        "confidence": result.confidence,
        "contributions": _contributions(result.contributions),
        "model_was_drifting": result.model_was_drifting,
    }


def _contributions(items: Iterable[Contribution]) -> list[StoredContribution]:
    return [{"feature": item.feature, "direction": item.direction, "contribution": item.contribution, "band": item.band} for item in items]
