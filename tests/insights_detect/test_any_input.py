"""Whatever finite figures come in, what goes out is a sound finding or a counted skip."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from server.insights import wording
from server.insights.detect import budget, contracts, payroll, performance, turnover
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
from tests.insights_detect.figures import AS_OF, JANUARY, MARCH, NOW, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.insights.detect.outcome import Detected
    from server.insights.model import Finding

unhurried = settings(deadline=None)
MODEL = ModelUsed("any", "1.0.0")

numbers = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.one_of(numbers, st.floats(0, 1e6), st.sampled_from([0.0, -0.0, 1.0, 1e15, -1e15, 5e-324]))
probabilities = st.one_of(st.floats(0, 1), numbers)
# No fact has a NUL character, and no finding may.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: not re.search("nan|inf|None", text)
)
currencies = st.sampled_from(["EUR", "USD", "JPY", "", "eur"])
days = st.dates(date(2026, 1, 1), date(2026, 12, 31)) | st.dates()
reasons = st.lists(st.builds(Reason, names, numbers), max_size=4).map(tuple)

rates = st.lists(st.none() | st.builds(HeadcountMonth, st.floats(0, 1e4), st.integers(0, 500)), max_size=14).map(turnover_rate)
turnovers = st.builds(
    TurnoverFigures,
    headcount=st.integers(-1, 100),
    threshold=probabilities,
    flagged=st.lists(st.builds(FlaggedEmployee, names, st.floats(0, 1), reasons), max_size=60).map(tuple),
    rate=rates,
    model=st.just(MODEL),
    facts_as_of=st.just(AS_OF),
    monthly_pay=st.none() | amounts,
    currency=currencies,
)
payrolls = st.builds(
    CostCentrePayroll,
    names,
    currencies,
    st.builds(MonthlySeries, st.integers(MARCH - 40, MARCH), st.lists(st.none() | amounts, max_size=45).map(tuple)),
    st.just(AS_OF),
    st.just(PEOPLE) | st.dictionaries(st.integers(MARCH - 40, MARCH), st.integers(0, 9)),
)
forecasts = st.lists(amounts, min_size=9, max_size=9).map(
    lambda medians: tuple(
        ForecastMonth(MARCH + 1 + place, median, median - abs(median) / 8, median + 9) for place, median in enumerate(medians)
    )
)
budgets = st.builds(
    BudgetFigures,
    names,
    currencies,
    amounts,
    amounts,
    st.just(MARCH),
    st.sampled_from([JANUARY + 11, JANUARY + 11, MARCH, JANUARY + 14]),
    forecasts,
    st.just(MODEL),
    st.just(AS_OF),
)
agreements = st.builds(
    ContractFigures,
    key=names,
    ends=st.none() | days,
    facts_as_of=st.just(AS_OF),
    starts=st.none() | days,
    notice_by=st.none() | days,
    renews_itself=st.none() | st.booleans(),
    value=st.none() | amounts,
    currency=currencies,
    risk=st.none() | probabilities,
    reasons=reasons,
    model=st.none() | st.just(MODEL),
)
periods = st.builds(
    ReviewPeriod,
    st.dates(date(2024, 1, 1), date(2026, 12, 31)),
    st.integers(-1, 40),
    st.integers(-1, 60),
    st.floats(1, 5) | numbers,
    st.floats(0, 2) | numbers,
)
teams = st.builds(
    TeamReviews, names, st.lists(periods, max_size=12).map(tuple), st.just(AS_OF), st.just(1.0) | numbers, st.just(5.0) | numbers
)


def check(detect: Callable[[], Detected]) -> Detected:
    """Everything that holds of every finding."""
    detected = detect()
    assert detected == detect(), "the same figures give the same findings"
    for finding in detected.findings:
        assert 0 <= finding.confidence <= 1
        assert math.isfinite(finding.severity)
        assert finding.expires_at > NOW
        json.dumps(finding.data_points, allow_nan=False)
        texts = [finding.title, finding.description, *(action.action + action.estimated_impact for action in finding.actions)]
        assert not any(re.search(r"\b(nan|inf|None)\b", text) for text in texts)
        assert finding.title
        assert finding.actions
        assert len(finding.fingerprint) == 32
        assert "\n" not in finding.title
    assert len({finding.fingerprint for finding in detected.findings}) == len(detected.findings)
    return detected


@unhurried
@given(turnovers)
def test_turnover(figures: TurnoverFigures) -> None:
    for finding in check(lambda: turnover.detect(figures, NOW)).findings:
        assert f"{len(figures.flagged):,}" in finding.title
        assert wording.percent(len(figures.flagged) / figures.headcount) in finding.description


@unhurried
@given(payrolls)
def test_payroll(figures: CostCentrePayroll) -> None:
    for finding in check(lambda: payroll.detect([figures], NOW)).findings:
        for name in ("amount", "expectedAmount", "excessAmount"):
            amount = finding.data_points[name]
            assert isinstance(amount, float)
            assert wording.money(amount, figures.currency)[:7] in finding.description


@unhurried
@given(budgets)
def test_budget(figures: BudgetFigures) -> None:
    for finding in check(lambda: budget.detect([figures], NOW)).findings:
        assert wording.money(figures.budget, figures.currency) in finding.description
        assert wording.money(figures.spent, figures.currency) in finding.description


@unhurried
@given(agreements)
def test_contracts(figures: ContractFigures) -> None:
    for finding in check(lambda: contracts.detect([figures], NOW)).findings:
        assert figures.ends is None or wording.day(figures.ends) in finding.description


@unhurried
@given(teams)
def test_performance(figures: TeamReviews) -> None:
    for finding in check(lambda: performance.detect([figures], NOW)).findings:
        people = finding.data_points["reviewedPeople"]
        assert isinstance(people, int)
        assert people >= performance.FEWEST_PEOPLE


@unhurried
@given(st.lists(st.floats(900, 1100), min_size=8, max_size=40), st.floats(3000, 1e6), names)
def test_a_month_that_is_three_times_as_high_as_ever_is_found_and_its_numbers_are_told(
    before: list[float], newest: float, cost_centre: str
) -> None:
    def of_newest(amount: float) -> Finding:
        months = MonthlySeries(MARCH - len(before), (*before, amount))
        detected = check(lambda: payroll.detect([CostCentrePayroll(cost_centre, "EUR", months, AS_OF, PEOPLE)], NOW))
        # The month before is judged as well, and may stand out of the others by far less.
        (finding,) = (each for each in detected.findings if each.subject.endswith(wording.iso_month(MARCH)))
        return finding

    finding = of_newest(newest)
    assert wording.money(newest, "EUR") in finding.description
    assert f"{len(before)} months" in finding.description
    worse = of_newest(1.5 * newest)
    assert (worse.severity >= finding.severity, worse.confidence >= finding.confidence) == (True, True)
    assert worse.fingerprint == finding.fingerprint


@unhurried
@given(st.floats(1, 1e9), st.floats(1.2, 5.0), st.floats(0, 0.5))
def test_a_forecast_far_over_budget_is_found_and_more_spending_is_more_severe(amount: float, times: float, width: float) -> None:
    median = amount * times / 9
    ahead = tuple(ForecastMonth(MARCH + 1 + place, median, median * (1 - width), median * (1 + width)) for place in range(9))

    def judged(spent: float) -> Finding:
        figures = BudgetFigures("Marketing", "EUR", amount, spent, MARCH, JANUARY + 11, ahead, MODEL, AS_OF)
        (finding,) = check(lambda: budget.detect([figures], NOW)).findings
        return finding

    less, more = judged(0.0), judged(amount / 10)
    assert less.severity < more.severity
    assert less.confidence <= more.confidence
    assert wording.money(amount, "EUR") in less.description
