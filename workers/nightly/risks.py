"""Probabilities of leaving and of going wrong, with reasons for the few that are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from server.insights.detect.contracts import most_at_risk
from server.insights.detect.inputs import FlaggedEmployee, Reason
from server.insights.detect.turnover import MOST_EXPLAINED
from server.insights.figures import agreements
from server.ml.contract_risk import dated
from server.ml.encoding import Coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from server.insights.detect.inputs import ContractFigures
    from server.insights.evidence.model import OpenContract, Workforce
    from server.insights.figures.staff import Places
    from server.ml.features import FeatureValue
    from server.ml.scoring import Batch, Scorer
    from workers.nightly.models import Ready


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


def contract_figures(ready: Ready[Scorer], contracts: Sequence[OpenContract], now: datetime) -> Sequence[ContractFigures]:
    """Return every contract with its risk; with reasons only those whose risk is told: they cost a millisecond each."""
    if not contracts:
        return []
    rows = [_contract(each) for each in contracts]
    scored = ready.model.batch({name: [row.get(name) for row in rows] for name in ready.model.schema.names})
    risks = scored.probabilities.tolist()
    figures = [agreements.contract_figures(each, (risk, (), ready.used)) for each, risk in zip(contracts, risks, strict=True)]
    told = most_at_risk(figures, now)
    for place, reasons in zip(told, _reasons(scored, np.array(told, np.intp)), strict=True):
        figures[place] = replace(figures[place], reasons=reasons)
    return figures


def _contract(contract: OpenContract) -> Mapping[str, FeatureValue]:
    return dated({"value": contract.value, **contract.attributes}, contract.start_date, contract.end_date, contract.first_start)


def _reasons(scored: Batch, rows: Places) -> Sequence[tuple[Reason, ...]]:
    """Return what moved each row's score, strongest first."""
    return [tuple(Reason(feature, value) for feature, value in moved) for moved in scored.moved(rows)]
