"""From evidence to figures: who is here, how many were, and what the year's plan is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from server.facts.model import ATTRIBUTES
from server.insights.detect import performance
from server.insights.evidence.model import EPOCH_ORDINAL, PayrollMonth, SpendMonth, TeamQuarter, Workforce
from server.insights.figures import agreements, money, staff
from server.stats.turnover import HeadcountMonth

if TYPE_CHECKING:
    from server.insights.detect.inputs import TeamReviews

TODAY = date(2026, 11, 21)


def day(year: int, month: int, of_month: int) -> int:
    """Day as evidence counts it."""
    return date(year, month, of_month).toordinal() - EPOCH_ORDINAL


def month(year: int, of_year: int) -> int:
    """Month as figures count it."""
    return year * 12 + of_year - 1


def workforce(*people: tuple[int, int, int | None], leaving: tuple[int, ...] = ()) -> Workforce:
    """People by first state, latest state and exit; nobody's years are known. The states of those at `leaving` say that they left."""
    attributes: dict[str, list[None]] = {name: [None] * len(people) for name in ATTRIBUTES}
    first, last, left = ([person[place] for person in people] for place in range(3))
    keys, told = [f"e-{place}" for place in range(len(people))], [place in leaving for place in range(len(people))]
    return Workforce(keys, first, last, left, told, attributes, 0)  # type: ignore[arg-type]  # by column


def test_the_epoch_is_the_first_of_january_1970() -> None:
    assert date.fromordinal(EPOCH_ORDINAL) == date(1970, 1, 1)


def test_who_left_or_vanished_is_not_present() -> None:
    now, then = day(2026, 10, 31), day(2025, 10, 31)
    people = workforce((then, now, None), (then, now, day(2026, 11, 5)), (then, then, None), (then, day(2026, 8, 31), None))
    assert list(staff.present(people)) == [0, 3]


def test_somebody_who_came_back_after_an_exit_is_present() -> None:
    people = workforce((day(2025, 1, 31), day(2026, 10, 31), day(2025, 6, 30)))
    assert list(staff.present(people)) == [0]


def test_who_leaves_soon_or_left_by_their_own_state_is_not_present() -> None:
    now, then = day(2026, 10, 31), day(2025, 10, 31)
    people = workforce((then, now, None), (then, now, day(2027, 1, 31)), (then, now, None), leaving=(2,))
    assert list(staff.present(people)) == [0]


def test_an_exit_in_the_month_of_the_latest_state_is_an_exit_and_one_of_an_earlier_month_was_followed_by_a_return() -> None:
    now, then = day(2026, 10, 31), day(2025, 10, 31)
    people = workforce((then, now, day(2026, 10, 1)), (then, now, day(2026, 9, 30)))
    assert list(staff.present(people)) == [1]
    assert staff.headcounts(people, TODAY)[-1] == HeadcountMonth(1, 1)


def test_where_nobodys_exit_is_known_there_is_no_rate_and_one_exit_makes_one() -> None:
    stay = [(day(2025, 1, 31), day(2026, 10, 31), None)] * 9
    nobody_left = workforce(*stay)
    assert staff.rate(nobody_left, staff.headcounts(nobody_left, TODAY)) is None
    one_left = workforce(*stay, (day(2025, 1, 31), day(2026, 3, 31), day(2026, 4, 10)))
    known = staff.rate(one_left, staff.headcounts(one_left, TODAY))
    assert known is not None
    assert known.leavers == 1
    long_ago = workforce(*stay, (day(2024, 1, 31), day(2024, 3, 31), day(2024, 4, 10)))
    none_lately = staff.rate(long_ago, staff.headcounts(long_ago, TODAY))
    assert none_lately is not None
    assert none_lately.rate == 0


def test_an_exit_from_before_somebody_came_makes_no_rate_and_is_counted() -> None:
    stay = [(day(2025, 1, 31), day(2026, 10, 31), None)] * 9
    wrong = workforce(*stay, (day(2025, 1, 31), day(2026, 10, 31), day(1950, 1, 1)))
    assert staff.rate(wrong, staff.headcounts(wrong, TODAY)) is None
    assert staff.early_exits(wrong) == 1
    assert staff.early_exits(workforce(*stay, (day(2025, 1, 31), day(2026, 3, 31), day(2026, 4, 10)))) == 0


def test_an_exit_from_before_somebody_came_makes_no_leaver_beside_true_ones() -> None:
    stay = [(day(2025, 10, 31), day(2026, 10, 31), None)] * 14
    left = (day(2025, 10, 31), day(2026, 3, 31), day(2026, 4, 10))
    early = [(day(2026, 5, 31), day(2026, 10, 31), day(2026, 1, 15))] * 5
    people = workforce(*stay, left, *early)
    assert staff.early_exits(people) == 5
    months = staff.headcounts(people, TODAY)
    assert sum(month.leavers for month in months if month is not None) == 1
    found = staff.rate(people, months)
    assert found is not None
    assert (found.leavers, found.rate) == (1, pytest.approx(1 / staff.mean_headcount(months)))  # type: ignore[operator]  # known


def test_months_before_the_first_state_are_not_known() -> None:
    people = workforce(*[(day(2026, 8, 31), day(2026, 10, 31), None)] * 4, (day(2026, 8, 31), day(2026, 8, 31), day(2026, 9, 10)))
    counted = staff.headcounts(people, TODAY)
    assert counted[:9] == [None] * 9
    assert counted[9:] == [HeadcountMonth(5, 0), HeadcountMonth(4, 1), HeadcountMonth(4, 0)]
    assert staff.mean_headcount(counted) == pytest.approx(13 / 3)


def test_an_organization_without_employees_has_no_figures() -> None:
    nobody = workforce()
    assert (list(staff.present(nobody)), staff.headcounts(nobody, TODAY)) == ([], [])
    assert staff.mean_headcount([]) is None


def test_the_mean_pay_is_told_of_five_known_pays_and_of_no_fewer() -> None:
    seen = day(2026, 10, 31)
    people = workforce(*[(seen, seen, None)] * 6)
    for known, mean in ((5, 3_000.0), (4, None)):
        pays = [1_000.0 * place for place in range(1, known + 1)] + [None] * (6 - known)
        paid = replace(people, attributes={**people.attributes, "monthly_income": pays})
        assert staff.mean_pay(paid, staff.present(paid)) == mean


def test_the_month_of_the_run_is_not_over_and_left_out() -> None:
    rows = [PayrollMonth("Sales", "EUR", month(2026, number), 100.0 * number, 3) for number in (8, 10, 11)]
    (found,) = money.payrolls(rows, TODAY)
    assert (found.months.first, found.months.values) == (month(2026, 8), (800.0, None, 1000.0))
    assert found.people == {month(2026, 8): 3, month(2026, 10): 3}
    assert found.facts_as_of == date(2026, 10, 31)


def spend(months: dict[int, float | None], budget: float | None = 10.0) -> list[SpendMonth]:
    """A unit's spend of months of 2026, with a plan for the whole year."""
    return [SpendMonth("it", "EUR", month(2026, number), months.get(number), budget) for number in range(1, 13)]


def test_the_budget_of_the_year_needs_a_plan_for_each_month() -> None:
    rows = spend(dict.fromkeys(range(1, 12), 9.0))
    plans, skipped = money.budgets(rows, TODAY)
    assert [(plan.budget, plan.spent, plan.spent_through, plan.last_month) for plan in plans] == [
        (120.0, 90.0, month(2026, 10), month(2026, 12))
    ]
    assert skipped == {}
    assert money.budgets(rows[:-1], TODAY) == ([], {"INCOMPLETE_BUDGET": 1})
    assert money.budgets(spend({1: 9.0}, None), TODAY) == ([], {"NO_BUDGET": 1})


def test_in_january_the_new_year_is_looked_at_of_which_nothing_is_spent_yet() -> None:
    rows = spend(dict.fromkeys(range(1, 13), 9.0))
    new = [SpendMonth("it", "EUR", month(2027, number), None, 11.0) for number in range(1, 13)]
    (plan,) = money.budgets([*rows, *new], date(2027, 1, 3))[0]
    assert (plan.budget, plan.last_month, plan.spent, plan.spent_through) == (132.0, month(2027, 12), 0.0, month(2026, 12))
    assert plan.history == (9.0,) * 12
    assert money.budgets(rows, date(2027, 1, 3)) == ([], {"NO_BUDGET": 1})


def of_category(category: str, amounts: dict[int, float], planned: tuple[int, ...] = tuple(range(1, 13))) -> list[SpendMonth]:
    """A category's spend of months of 2026, with a plan of 10 for some of them."""
    return [
        SpendMonth("it", "EUR", month(2026, number), amounts.get(number), 10.0 if number in planned else None, category)
        for number in range(1, 13)
    ]


TO_OCTOBER = dict.fromkeys(range(1, 11), 9.0)


def test_spend_of_a_category_that_is_not_planned_in_each_month_is_not_held_against_the_plans_of_others() -> None:
    planned = of_category("licences", TO_OCTOBER)
    (alone,) = money.budgets(planned, TODAY)[0]
    for months in ((), (1, 2, 3)):
        (beside,) = money.budgets([*planned, *of_category("travel", dict.fromkeys(range(1, 11), 900.0), months)], TODAY)[0]
        assert beside == alone
    (both,) = money.budgets([*planned, *of_category("travel", dict.fromkeys(range(1, 11), 900.0))], TODAY)[0]
    assert (both.budget, both.spent) == (240.0, 9_090.0)


def test_a_unit_with_plans_only_for_a_part_of_the_year_in_each_category_has_no_complete_budget() -> None:
    rows = [*of_category("licences", TO_OCTOBER, tuple(range(1, 7))), *of_category("travel", TO_OCTOBER, tuple(range(7, 13)))]
    assert money.budgets(rows, TODAY) == ([], {"INCOMPLETE_BUDGET": 1})


def test_a_month_is_spent_when_each_planned_category_has_an_amount() -> None:
    to_september = dict.fromkeys(range(1, 10), 9.0)
    (plan,) = money.budgets([*of_category("licences", TO_OCTOBER), *of_category("travel", to_september)], TODAY)[0]
    assert (plan.spent, plan.spent_through, len(plan.history)) == (162.0, month(2026, 9), 9)


def test_a_gap_in_the_months_of_the_year_is_counted_and_not_judged_as_nothing_spent() -> None:
    for missing in (1, 5, 9):
        gappy = {number: amount for number, amount in TO_OCTOBER.items() if number != missing}
        assert money.budgets(of_category("licences", gappy), TODAY) == ([], {"INCOMPLETE_SPEND": 1})
        rows = [*of_category("licences", TO_OCTOBER), *of_category("travel", gappy)]
        assert money.budgets(rows, TODAY) == ([], {"INCOMPLETE_SPEND": 1})
    stopped = of_category("travel", dict.fromkeys(range(1, 7), 9.0))
    assert money.budgets([*of_category("licences", TO_OCTOBER), *stopped], TODAY) == ([], {"INCOMPLETE_SPEND": 1})


def test_a_plan_of_the_year_without_spend_of_a_complete_month_is_counted_and_not_left_out() -> None:
    for amounts in ({}, {TODAY.month: 9.0}):
        assert money.budgets(of_category("licences", amounts), TODAY) == ([], {"INCOMPLETE_SPEND": 1})
        assert money.budgets(of_category("licences", amounts, (1, 2, 3)), TODAY) == ([], {"INCOMPLETE_BUDGET": 1})
        assert money.budgets(of_category("licences", amounts, ()), TODAY) == ([], {})
    ahead = [SpendMonth("it", "EUR", month(2027, number), None, 11.0) for number in range(1, 13)]
    assert money.budgets(ahead, TODAY) == ([], {})


def test_a_scale_that_is_not_told_ends_at_five_or_at_the_highest_mean() -> None:
    def quarter(mean: float, scale: float | None) -> TeamQuarter:
        return TeamQuarter("a", date(2026, 9, 30), 6, 6, mean, 0.5, scale)

    def judged(mean: float, scale: float | None) -> TeamReviews:
        (team,), others = agreements.team_reviews([quarter(mean, scale)])
        assert others == 0
        return team

    assert judged(3.0, None).highest == 5.0
    assert judged(80.0, None).highest == 80.0
    assert judged(0.4, 10.0).highest == 10.0


def test_a_scale_with_a_mean_below_one_or_of_at_most_one_begins_at_zero_and_any_other_at_one() -> None:
    def lowest(scale: float | None, *means: float) -> float:
        quarters = [TeamQuarter("a", date(2026, 3 * place + 3, 30), 6, 6, mean, 0.5, scale) for place, mean in enumerate(means)]
        (team,), _ = agreements.team_reviews(quarters)
        return team.lowest

    assert [lowest(scale, 0.9, 0.6) for scale in (1.0, 10.0, None)] == [0.0, 0.0, 0.0]
    assert lowest(1.0, 1.0, 1.0) == 0.0
    assert [lowest(scale, 4.0, 1.0) for scale in (5.0, None)] == [1.0, 1.0]


def test_a_fall_on_a_scale_up_to_one_is_told_as_a_share_of_that_scale() -> None:
    ends = (date(2026, 4, 30), date(2026, 7, 31), date(2026, 10, 31))
    quarters = [TeamQuarter("a", ended, 12, 12, mean, 0.1, 1.0) for ended, mean in zip(ends, (0.9, 0.9, 0.6), strict=True)]
    teams, _ = agreements.team_reviews(quarters)
    (found,) = performance.detect(teams, datetime(2026, 11, 21, 3, tzinfo=UTC)).findings
    assert found.severity == pytest.approx(0.3)
    assert "on a scale from 0 to 1" in found.description


def test_a_change_of_scale_is_no_fall_and_only_what_is_on_the_newest_scale_is_compared() -> None:
    def quarter(ended: date, mean: float, scale: float | None, reviews: int = 12) -> TeamQuarter:
        return TeamQuarter("a", ended, reviews, reviews, mean, 0.5, scale)

    spring, summer, autumn = date(2026, 4, 30), date(2026, 7, 31), date(2026, 10, 31)
    now = datetime(2026, 11, 21, 3, tzinfo=UTC)
    for old in (10.0, None):
        (team,), others = agreements.team_reviews([quarter(spring, 8.0, old), quarter(summer, 8.0, old), quarter(autumn, 4.0, 5.0)])
        assert (len(team.periods), team.highest, others) == (1, 5.0, 1)
        assert not performance.detect([team], now).findings
    mixed = [quarter(spring, 4.0, 5.0), quarter(summer, 4.1, 5.0), quarter(autumn, 4.0, 5.0), quarter(autumn, 7.0, 10.0, reviews=5)]
    (team,), others = agreements.team_reviews(mixed)
    assert ([period.mean for period in team.periods], team.highest, others) == ([4.0, 4.1, 4.0], 5.0, 1)
    fallen, _ = agreements.team_reviews([quarter(spring, 8.0, 10.0), quarter(summer, 8.0, 10.0), quarter(autumn, 4.0, 10.0)])
    assert performance.detect(fallen, now).findings
