"""The stored form of a result: plain JSON, so that it can be read with SQL and outlives a change of the contract."""

from __future__ import annotations

from typing import TypedDict

from server.predictions.model import Band, Contribution, Direction, TurnoverResult


class StoredContribution(TypedDict):
    """JSON of a `Contribution`."""

    feature: str
    direction: str
    contribution: float
    band: str


class StoredTurnover(TypedDict):
    """JSON of a `TurnoverResult`."""

    score: float
    predicted_to_leave: bool
    confidence: float
    contributions: list[StoredContribution]
    model_was_drifting: bool


def to_json(result: TurnoverResult) -> StoredTurnover:
    """Write a result."""
    return {
        "score": result.score,
        "predicted_to_leave": result.predicted_to_leave,
        "confidence": result.confidence,
        "contributions": [
            {"feature": item.feature, "direction": item.direction, "contribution": item.contribution, "band": item.band}
            for item in result.contributions
        ],
        "model_was_drifting": result.model_was_drifting,
    }


def from_json(stored: StoredTurnover) -> TurnoverResult:
    """Read what `to_json` wrote."""
    return TurnoverResult(
        score=stored["score"],
        predicted_to_leave=stored["predicted_to_leave"],
        confidence=stored["confidence"],
        contributions=tuple(
            Contribution(item["feature"], Direction(item["direction"]), item["contribution"], Band(item["band"]))
            for item in stored["contributions"]
        ),
        model_was_drifting=stored["model_was_drifting"],
    )
