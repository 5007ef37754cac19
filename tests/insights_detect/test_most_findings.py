"""However much there is to say of an organization, a bounded part of it is told, the same one every night."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from server.insights.detect import contracts
from server.insights.detect.inputs import ModelUsed
from server.insights.detect.outcome import MOST_FINDINGS, SkipReason, gathered
from server.insights.evidence.model import OpenContract
from server.insights.model import InsightType
from tests.insights_detect.figures import AS_OF, CONTRACT, NOW
from tests.support.insights import finding
from workers.nightly import risks
from workers.nightly.models import Ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from server.insights.detect.inputs import ContractFigures
    from server.ml.scoring import Scorer

MORE = MOST_FINDINGS + 20


def many(count: int) -> list[ContractFigures]:
    """Contracts at every risk from 0.4 to 1, some of equal risk, some that have ended or are wrong, in no order."""
    rng = np.random.default_rng(3)
    chosen = [replace(CONTRACT, key=f"c-{number}", risk=float(risk)) for number, risk in enumerate(rng.uniform(0.4, 1, count).round(2))]
    for place in range(0, count, 10):
        chosen[place] = replace(chosen[place], ends=NOW.date() - timedelta(days=1), risk=1.0)
        chosen[place + 2] = replace(chosen[place + 2], ends=NOW.date() + timedelta(days=place % 60), notice_by=None)
        chosen[place + 1] = replace(chosen[place + 1], notice_by=NOW.date() + timedelta(days=999), risk=1.0)
    return chosen


def test_of_each_type_the_worst_are_told_and_the_others_counted() -> None:
    spikes = [finding(f"cost_centre/{number:04}", severity=float(number // 2)) for number in range(MORE)]
    falls = [replace(each, insight_type=InsightType.PERFORMANCE_DECLINE) for each in spikes[:7]]
    detected = gathered([*spikes, None, *falls])
    told = [each for each in detected.findings if each.insight_type is InsightType.PAYROLL_COST_SPIKE]
    assert {each.subject for each in told} == {each.subject for each in spikes[20:]}
    assert len(detected.findings) == MOST_FINDINGS + 7
    assert detected.skips == {SkipReason.TOO_MANY_FINDINGS: 20}


def test_as_many_as_are_told_are_all_told() -> None:
    detected = gathered([finding(f"cost_centre/{number}") for number in range(MOST_FINDINGS)])
    assert (len(detected.findings), detected.skips) == (MOST_FINDINGS, {})


def test_of_equals_the_same_are_told_whatever_order_they_come_in() -> None:
    equal = [finding(f"cost_centre/{number}") for number in range(MORE)]
    assert gathered([*equal]).findings == gathered([*reversed(equal)]).findings


def test_of_contracts_that_are_equally_bad_those_that_end_first_are_told() -> None:
    far = [replace(CONTRACT, key=f"a-{number:04}", ends=NOW.date() + timedelta(days=89), notice_by=None) for number in range(MORE)]
    near = [replace(far[0], key=f"z-{days}", ends=NOW.date() + timedelta(days=days)) for days in (15, 40, 88)]
    told = contracts.detect([replace(each, risk=None, model=None) for each in (*far, *near)], NOW).findings
    assert [each.data_points["contractKey"] for each in told][:4] == ["z-15", "z-40", "z-88", "a-0000"]
    assert len(told) == MOST_FINDINGS


@pytest.mark.parametrize("count", [100, 3 * MOST_FINDINGS])
def test_the_most_at_risk_are_those_whose_risk_is_told_in_its_order(count: int) -> None:
    figures = many(count)
    told = [each.subject for each in contracts.detect(figures, NOW).findings if each.insight_type is InsightType.CONTRACT_AT_RISK]
    assert [f"contract/{figures[place].key}" for place in contracts.most_at_risk(figures, NOW)] == told
    assert len(told) == MOST_FINDINGS or count == 100


@dataclass(slots=True)
class Schema:
    """What a model wants to know."""

    names: tuple[str, ...] = ("value",)


@dataclass(slots=True)
class Batch:
    """Stands for scored rows; keeps how many it was asked to explain."""

    probabilities: npt.NDArray[np.float64]
    explained: list[int] = field(default_factory=list)

    def moved(self, rows: npt.NDArray[np.intp]) -> Sequence[Sequence[tuple[str, float]]]:
        self.explained += rows.tolist()
        return [[("value", float(row))] for row in rows]


@dataclass(slots=True)
class Values:
    """Stands for a scorer: the risk of a contract is its value."""

    schema: Schema = field(default_factory=Schema)
    made: Batch | None = None

    def batch(self, columns: Mapping[str, Sequence[float]]) -> Batch:
        self.made = Batch(np.array(columns["value"]))
        return self.made


def test_only_contracts_whose_risk_is_told_are_explained_each_by_its_own_reasons() -> None:
    known = [
        OpenContract(f"c-{number:04}", AS_OF, AS_OF, None, None, None, None, 0.4 + 0.6 * number / (2 * MORE), "EUR", {})
        for number in range(2 * MORE)
    ]
    scorer = Values()
    figures = risks.contract_figures(Ready(cast("Scorer", scorer), ModelUsed("contract_risk", "1.0.0")), known, NOW)
    assert scorer.made is not None
    assert sorted(scorer.made.explained) == list(range(2 * MORE - MOST_FINDINGS, 2 * MORE))
    assert [(each.reasons[0].contribution if each.reasons else None) for each in figures] == [
        float(place) if place >= 2 * MORE - MOST_FINDINGS else None for place in range(2 * MORE)
    ]
