"""Figures of one made-up organization on 3 April 2026, all of them such that there is a finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from server.insights.detect.inputs import (
    BudgetFigures,
    ContractFigures,
    CostCentrePayroll,
    FlaggedEmployee,
    ForecastMonth,
    ModelUsed,
    Reason,
    ReviewPeriod,
    TeamReviews,
    TurnoverFigures,
)
from server.stats.seasonal import MonthlySeries
from server.stats.turnover import HeadcountMonth, turnover_rate

NOW = datetime(2026, 4, 3, 3, 0, tzinfo=UTC)
AS_OF = date(2026, 3, 31)
JANUARY = 2026 * 12
MARCH = JANUARY + 2
WAGES = tuple(400_000.0 + 1_000 * place + 2_500 * (place * 7 % 5) for place in range(29))

FLAGGED = (
    FlaggedEmployee("8f3a", 0.82, (Reason("over_time", 0.9), Reason("monthly_income", 0.45), Reason("job_level", -0.3))),
    FlaggedEmployee("11c0", 0.64, (Reason("over_time", 0.6), Reason("distance_from_home", 0.3))),
    FlaggedEmployee("77de", 0.58),
)
TURNOVER = TurnoverFigures(
    headcount=48,
    threshold=0.5,
    flagged=FLAGGED,
    rate=turnover_rate([HeadcountMonth(45 + place / 4, place % 2) for place in range(12)]),
    model=ModelUsed("turnover_prediction", "1.4.0"),
    facts_as_of=AS_OF,
    monthly_pay=5_400.0,
    currency="EUR",
)
PEOPLE = dict.fromkeys(range(MARCH - 60, MARCH + 2), 5)
PAYROLL = CostCentrePayroll("Sales", "EUR", MonthlySeries(MARCH - len(WAGES), (*WAGES, 495_000.0, 90_000.0)), AS_OF, PEOPLE)
BUDGET = BudgetFigures(
    name="Marketing",
    currency="EUR",
    budget=1_200_000.0,
    spent=345_000.0,
    spent_through=MARCH,
    last_month=JANUARY + 11,
    forecast=tuple(ForecastMonth(MARCH + ahead, 101_000.0, 92_000.0, 111_000.0) for ahead in range(1, 10)),
    model=ModelUsed("spend_forecasting", "1.0.2"),
    facts_as_of=AS_OF,
)
CONTRACT = ContractFigures(
    key="Office cleaning",
    ends=date(2026, 6, 30),
    notice_by=date(2026, 4, 15),
    renews_itself=True,
    value=48_000.0,
    currency="EUR",
    risk=0.72,
    reasons=(Reason("late_deliveries", 0.8),),
    model=ModelUsed("contract_risk", "1.0.0"),
    facts_as_of=AS_OF,
)
PERIODS = tuple(ReviewPeriod(date(2025, 3 * quarter, 28), 12, 12, mean, 0.5) for quarter, mean in ((1, 3.9), (2, 3.8), (3, 3.9), (4, 3.1)))
TEAM = TeamReviews("Support", PERIODS, AS_OF)


def with_newest(amount: float) -> CostCentrePayroll:
    """The payroll with another amount in March."""
    return replace(PAYROLL, months=MonthlySeries(PAYROLL.months.first, (*WAGES, amount)))


def with_last_mean(mean: float) -> TeamReviews:
    """The team with other newest reviews."""
    return replace(TEAM, periods=(*PERIODS[:-1], replace(PERIODS[-1], mean=mean)))
