"""Probabilities of leaving and of a bad end, with reasons for the few that are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from server.insights.detect.contracts import RISK_THRESHOLD
from server.insights.detect.inputs import FlaggedEmployee, ModelUsed, Reason
from server.insights.detect.turnover import MOST_EXPLAINED
from server.ml.contract_risk import dated
from server.ml.encoding import Coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.insights.evidence.model import OpenContract, Workforce
    from server.insights.figures.staff import Places
    from server.ml.features import FeatureValue
    from server.ml.scoring import Batch, Scorer
    from workers.nightly.models import Ready

Risk: TypeAlias = tuple[float, tuple[Reason, ...], ModelUsed]


def flagged_employees(scorer: Scorer, workforce: Workforce, places: Places, threshold: float) -> list[FlaggedEmployee]:
    """Return who of those at `places` is likelier than `threshold` to leave, the likeliest first; a few with reasons."""
    known = {name: workforce.attributes[name] for name in scorer.schema.names if name in workforce.attributes}
    columns = {name: (column if isinstance(column, Coded) else np.asarray(column))[places] for name, column in known.items()}
    scored = scorer.batch(columns)
    flagged = np.flatnonzero(scored.probabilities >= threshold)
    flagged = flagged[np.argsort(-scored.probabilities[flagged], kind="stable")]
    why = dict(enumerate(_reasons(scored, flagged[:MOST_EXPLAINED])))
    found = zip(places[flagged].tolist(), scored.probabilities[flagged].tolist(), strict=True)
    return [FlaggedEmployee(workforce.keys[place], probability, why.get(rank, ())) for rank, (place, probability) in enumerate(found)]


def contract_risks(ready: Ready[Scorer], contracts: Sequence[OpenContract]) -> Sequence[Risk]:
    """Return the risk of every contract; reasons only where it is high enough to be told: they cost a millisecond each."""
    if not contracts:
        return []
    rows = [_contract(each) for each in contracts]
    scored = ready.model.batch({name: [row.get(name) for row in rows] for name in ready.model.schema.names})
    told = np.flatnonzero(scored.probabilities >= RISK_THRESHOLD)
    why = dict(zip(told.tolist(), _reasons(scored, told), strict=True))
    return [(probability, why.get(place, ()), ready.used) for place, probability in enumerate(scored.probabilities.tolist())]


def _contract(contract: OpenContract) -> Mapping[str, FeatureValue]:
    return dated({"value": contract.value, **contract.attributes}, contract.start_date, contract.end_date, contract.first_start)


def _reasons(scored: Batch, rows: Places) -> Sequence[tuple[Reason, ...]]:
    """Return what moved each row's score, strongest first."""
    return [tuple(Reason(feature, value) for feature, value in moved) for moved in scored.moved(rows)]
