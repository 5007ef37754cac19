"""What is estimated is never shown as certain; what is a fact is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from server.insights.detect import budget, contracts, performance, turnover
from server.insights.detect.inputs import FlaggedEmployee, ReviewPeriod
from server.insights.detect.outcome import MOST_CERTAIN
from server.insights.model import InsightType
from tests.insights_detect.figures import BUDGET, CONTRACT, NOW, PERIODS, TEAM, TURNOVER

if TYPE_CHECKING:
    from server.insights.model import Finding

SURE_PEOPLE = replace(TURNOVER, flagged=tuple(FlaggedEmployee(f"sure-{place}", 1.0) for place in range(3)))
SURE_TEAM = replace(
    TEAM, periods=(*(replace(period, deviation=0.01) for period in PERIODS[:-1]), ReviewPeriod(TEAM.facts_as_of, 12, 12, 1.0, 0.01))
)
SURE_BUDGET = replace(BUDGET, budget=400_000.0)
SURE_CONTRACT = replace(CONTRACT, risk=1.0)


def findings() -> dict[InsightType, Finding]:
    """What a run says of figures that leave a model no doubt."""
    found = (
        *turnover.detect(SURE_PEOPLE, NOW).findings,
        *performance.detect([SURE_TEAM], NOW).findings,
        *budget.detect([SURE_BUDGET], NOW).findings,
        *contracts.detect([SURE_CONTRACT], NOW).findings,
    )
    return {finding.insight_type: finding for finding in found}


@pytest.mark.parametrize("kind", sorted(set(InsightType) - {InsightType.CONTRACT_EXPIRING, InsightType.PAYROLL_COST_SPIKE}))
def test_an_estimate_is_never_shown_as_certain(kind: InsightType) -> None:
    finding = findings()[kind]
    assert finding.shown_confidence == MOST_CERTAIN
    assert "100%" not in finding.title + finding.description or kind is InsightType.HIGH_TURNOVER_RISK


def test_control_a_date_is_a_fact_and_so_is_a_year_that_is_over() -> None:
    assert findings()[InsightType.CONTRACT_EXPIRING].shown_confidence == 1.0
    over = replace(BUDGET, spent=1_300_000.0, spent_through=BUDGET.last_month, forecast=())
    (finding,) = budget.detect([over], NOW).findings
    assert finding.shown_confidence == 1.0
