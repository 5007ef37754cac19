"""Probabilities of leaving and of a bad end, with reasons for the few that are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from server.insights.detect.contracts import RISK_THRESHOLD
from server.insights.detect.inputs import FlaggedEmployee, ModelUsed, Reason
from server.insights.detect.turnover import MOST_EXPLAINED
from server.ml.contract_risk import dated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.insights.evidence.model import OpenContract, Workforce
    from server.ml.features import FeatureValue
    from server.ml.scoring import Scorer
    from workers.nightly.models import Ready

Risk: TypeAlias = tuple[float, tuple[Reason, ...], ModelUsed]


def flagged_employees(scorer: Scorer, workforce: Workforce, places: Sequence[int], threshold: float) -> list[tuple[int, FlaggedEmployee]]:
    """Return who is likelier than `threshold` to leave, with the place in the workforce, the likeliest first; a few with reasons."""
    names = [name for name in scorer.schema.names if name in workforce.attributes]
    columns = {name: _picked(workforce.attributes[name], places) for name in names}
    scored = zip(scorer.probabilities(columns), places, strict=True)
    flagged = [(probability, place) for probability, place in scored if probability >= threshold]
    flagged.sort(key=lambda each: (-each[0], each[1]))
    explained = [place for _, place in flagged[:MOST_EXPLAINED]]
    rows = [{name: value for name in names if (value := workforce.attributes[name][place]) is not None} for place in explained]
    why = dict(zip(explained, _reasons(scorer, rows), strict=True))
    return [(place, FlaggedEmployee(workforce.keys[place], probability, why.get(place, ()))) for probability, place in flagged]


def contract_risks(ready: Ready[Scorer], contracts: Sequence[OpenContract]) -> Sequence[Risk]:
    """Return the risk of every contract; reasons only where it is high enough to be told: they cost a millisecond each."""
    rows = [_contract(each) for each in contracts]
    columns = {name: [row.get(name) for row in rows] for name in ready.model.schema.names}
    probabilities = ready.model.probabilities(columns) if rows else []
    told = [place for place, probability in enumerate(probabilities) if probability >= RISK_THRESHOLD]
    why = dict(zip(told, _reasons(ready.model, [rows[place] for place in told]), strict=True))
    return [(probability, why.get(place, ()), ready.used) for place, probability in enumerate(probabilities)]


def _contract(contract: OpenContract) -> Mapping[str, FeatureValue]:
    return dated({"value": contract.value, **contract.attributes}, contract.start_date, contract.end_date, contract.first_start)


def _picked(column: Sequence[FeatureValue | None], places: Sequence[int]) -> Sequence[FeatureValue | None]:
    return column if len(places) == len(column) else [column[place] for place in places]


def _reasons(scorer: Scorer, rows: Sequence[Mapping[str, FeatureValue]]) -> Sequence[tuple[Reason, ...]]:
    """Return what moved each row's score, strongest first."""
    scores = scorer.scores(rows) if rows else []
    return [tuple(Reason(part.feature, part.value) for part in score.contributions) for score in scores]
