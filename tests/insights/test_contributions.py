"""What an organization contributes to the benchmarks, metric by metric, against examples computed by hand."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.benchmarks.catalogue import BY_NAME, Unit
from server.benchmarks.model import OrganizationMetric
from server.facts.model import ATTRIBUTES
from server.insights.detect.outcome import SkipReason
from server.insights.evidence.model import EndedContracts, Evidence, OpenContract, PayrollMonth, Scores, SpendMonth, Workforce
from server.insights.figures.contributions import contributions, main_currency
from server.stats.turnover import WINDOW, HeadcountMonth, turnover_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

TODAY = date(2026, 11, 21)
PERIOD = date(2026, 11, 1)
OCTOBER = 2026 * 12 + 9
NOBODY = Workforce((), (), (), (), (), dict.fromkeys(ATTRIBUTES, ()), 0)
NONE_ENDED, NO_SCORES = EndedContracts(0, 0), Scores(0, None)
TEN_PEOPLE = [HeadcountMonth(10, 0)] * WINDOW


def evidence(
    payroll: list[PayrollMonth] | None = None,
    contracts: list[OpenContract] | None = None,
    ended: EndedContracts = NONE_ENDED,
    spend: list[SpendMonth] | None = None,
    scores: Scores = NO_SCORES,
) -> Evidence:
    """What is known, by default nothing; the contributions read nothing of the workforce but its headcounts."""
    return Evidence(NOBODY, payroll or [], contracts or [], ended, spend or [], [], scores)


def made(known: Evidence, months: Sequence[HeadcountMonth | None] = ()) -> dict[str, OrganizationMetric]:
    """The contributions by metric."""
    found = [each for each in contributions(known, months, turnover_rate(months), TODAY) if isinstance(each, OrganizationMetric)]
    assert len({each.metric for each in found}) == len(found)
    return {each.metric: each for each in found}


def skips(known: Evidence) -> list[str]:
    """Why something that is known gives no value, with ten people in every month."""
    return [each.value for each in contributions(known, TEN_PEOPLE, None, TODAY) if isinstance(each, SkipReason)]


def paid(back: int, cost: float, currency: str = "EUR", centre: str = "Sales", people: int = 1) -> PayrollMonth:
    """What was paid so many months before October 2026."""
    return PayrollMonth(centre, currency, OCTOBER - back, cost, people)


def spent(back: int, amount: float | None, budget: float | None, currency: str = "EUR") -> SpendMonth:
    """What was spent and planned so many months before October 2026."""
    return SpendMonth("it", currency, OCTOBER - back, amount, budget)


def contract(value: float, currency: str = "EUR", end: date | None = None) -> OpenContract:
    """A contract that is marked as active."""
    return OpenContract(
        contract_key=f"c-{value}-{currency}",
        known_on=date(2026, 1, 2),
        start_date=date(2026, 1, 1),
        end_date=end,
        first_start=None,
        notice_days=None,
        auto_renew=False,
        value=value,
        currency=currency,
        attributes={},
    )


def test_nothing_known_is_nothing_contributed() -> None:
    assert made(evidence()) == {}
    assert made(evidence(), [None] * WINDOW) == {}


def test_turnover_is_exits_over_mean_headcount_weighted_by_it() -> None:
    months = [*[HeadcountMonth(20, 1)] * 6, *[HeadcountMonth(10, 0)] * 6]
    found = made(evidence(), months)["employee_turnover_rate"]
    rate = turnover_rate(months)
    assert rate is not None
    assert (rate.leavers, found.period, found.currency) == (6, PERIOD, "")
    assert found.value == pytest.approx(6 / found.weight)
    assert 14 <= found.weight <= 16


def test_turnover_of_too_few_known_months_is_left_out() -> None:
    assert "employee_turnover_rate" not in made(evidence(), [None] * 10 + [HeadcountMonth(10, 1)] * 2)


def test_payroll_of_twelve_months_is_divided_by_the_mean_headcount() -> None:
    pay = [paid(back, 1_000.0, centre=centre) for back in range(12) for centre in ("Sales", "Care")]
    found = made(evidence(pay), TEN_PEOPLE)["payroll_cost_per_employee"]
    assert found == OrganizationMetric("payroll_cost_per_employee", PERIOD, 2_400.0, 24_000.0, "EUR")


def test_payroll_of_fewer_months_is_drawn_out_to_twelve() -> None:
    found = made(evidence([paid(0, 900.0), paid(1, 1_100.0)]), TEN_PEOPLE)["payroll_cost_per_employee"]
    assert (found.value, found.weight) == (1_200.0, 12_000.0)


def test_the_month_of_the_run_and_months_over_a_year_ago_are_no_part_of_payroll() -> None:
    pay = [paid(back, 1_000.0) for back in range(12)]
    assert made(evidence([*pay, paid(-1, 9e6), paid(12, 9e6)]), TEN_PEOPLE) == made(evidence(pay), TEN_PEOPLE)


def test_payroll_without_a_known_headcount_or_of_nothing_is_left_out() -> None:
    assert made(evidence([paid(0, 1_000.0)])) == {}
    assert made(evidence([paid(0, 1_000.0)]), [HeadcountMonth(0, 0)] * WINDOW) == {}
    assert "payroll_cost_per_employee" not in made(evidence([paid(0, 0.0)]), TEN_PEOPLE)
    assert "payroll_cost_per_employee" not in made(evidence([paid(0, 10.0), paid(1, -50.0)]), TEN_PEOPLE)


@pytest.mark.parametrize(
    ("known", "reasons"),
    [
        (evidence(), []),
        (evidence([paid(20, 1_000.0)]), []),
        (evidence([paid(0, 0.0001)]), ["NO_AMOUNT"]),
        (evidence([paid(0, 900.0, people=9), paid(0, 900.0, "USD")]), ["MIXED_CURRENCIES"]),
        (evidence(contracts=[contract(0.0)]), ["NO_AMOUNT"]),
        (evidence(spend=[spent(0, 5.0, 0.0)]), ["NO_AMOUNT"]),
        (evidence(spend=[spent(0, 5.0, None)]), []),
        (evidence(scores=Scores(0, None, without_scale=True)), ["NO_SCALE"]),
        (evidence(scores=Scores(3, 4.0, without_scale=True)), []),
    ],
)
def test_what_is_known_and_gives_no_value_is_counted_with_its_reason(known: Evidence, reasons: list[str]) -> None:
    assert skips(known) == reasons


def test_of_mixed_currencies_the_most_frequent_is_counted_and_the_others_are_not_added() -> None:
    deals = made(evidence(contracts=[contract(100.0), contract(300.0), contract(9e6, "USD")]))["average_contract_value"]
    assert (deals.value, deals.weight, deals.currency) == (200.0, 400.0, "EUR")
    spend = [spent(0, 110.0, 100.0), spent(1, 110.0, 100.0), spent(0, 9e6, 1.0, "USD")]
    over = made(evidence(spend=spend))["budget_variance_pct"]
    assert over.value == pytest.approx(10.0)
    assert over.weight == 2


def test_pay_of_one_currency_is_divided_by_those_who_are_paid_in_it() -> None:
    pay = [paid(0, 96_000.0, people=96), paid(0, 7e6, "USD", people=4)]
    found = made(evidence(pay), [HeadcountMonth(100, 0)] * WINDOW)["payroll_cost_per_employee"]
    assert found.value == pytest.approx(12_000.0)
    assert (found.weight, found.currency) == (96_000.0 * 12, "EUR")


def test_pay_is_left_out_when_more_than_a_twentieth_is_paid_in_other_currencies_however_many_cost_centres_they_have() -> None:
    many = [paid(0, 1_000.0, centre=f"c-{number}") for number in range(6)]
    assert "payroll_cost_per_employee" not in made(evidence([*many, paid(0, 7e6, "USD", people=94)]), TEN_PEOPLE)
    assert "payroll_cost_per_employee" in made(evidence([*many, paid(0, 7e6, "USD", people=200)]), TEN_PEOPLE)


def test_a_category_with_spend_and_no_plan_is_no_variance_of_another_that_is_planned() -> None:
    planned = [spent(back, 100.0, 100.0) for back in range(6)]
    beside = [SpendMonth("it", "EUR", OCTOBER - back, 900.0, None, "travel") for back in range(6)]
    assert made(evidence(spend=[*planned, *beside])) == made(evidence(spend=planned))
    assert made(evidence(spend=planned))["budget_variance_pct"].value == pytest.approx(0.0)


def test_of_equally_frequent_currencies_the_first_by_name_is_the_main_one() -> None:
    assert (main_currency(["USD", "EUR"]), main_currency(["EUR", "USD"]), main_currency([])) == ("EUR", "EUR", "")


def test_the_renewal_rate_is_renewed_over_ended() -> None:
    found = made(evidence(ended=EndedContracts(3, 4)))["contract_renewal_rate"]
    assert (found.value, found.weight, found.currency) == (0.75, 4, "")
    assert made(evidence(ended=EndedContracts(0, 2)))["contract_renewal_rate"].value == 0.0


def test_contracts_past_their_end_are_no_part_of_the_average_value() -> None:
    known = evidence(contracts=[contract(100.0, end=TODAY), contract(9e6, end=TODAY - timedelta(days=1))])
    assert made(known)["average_contract_value"].value == 100.0


def test_contracts_that_are_worth_nothing_are_left_out() -> None:
    assert made(evidence(contracts=[contract(0.0)])) == {}


def test_the_variance_is_spend_over_budget_of_the_months_that_have_both_less_a_hundred() -> None:
    rows = [spent(0, 90.0, 100.0), spent(1, 130.0, 100.0), spent(2, 999.0, None), spent(3, None, 999.0), spent(12, 999.0, 1.0)]
    found = made(evidence(spend=rows))["budget_variance_pct"]
    assert found.value == pytest.approx(10.0)
    assert (found.weight, found.currency) == (2, "")


def test_months_in_which_credits_prevail_count_as_they_are() -> None:
    found = made(evidence(spend=[spent(0, -40.0, 100.0), spent(1, 90.0, 100.0)]))["budget_variance_pct"]
    assert found.value == pytest.approx(-75.0)


def test_a_budget_of_nothing_or_less_has_no_variance() -> None:
    assert made(evidence(spend=[spent(0, 5.0, 0.0)])) == {}
    assert made(evidence(spend=[spent(0, 5.0, 10.0), spent(1, 5.0, -20.0)])) == {}


def test_what_rounding_leaves_of_amounts_that_cancel_out_is_nothing_to_divide_by() -> None:
    assert 0 < 0.1 + 0.2 - 0.3 < 1e-16
    amounts = (0.1, 0.2, -0.3)
    assert made(evidence(spend=[spent(back, 50.0, budget) for back, budget in enumerate(amounts)])) == {}
    assert "payroll_cost_per_employee" not in made(evidence([paid(back, cost) for back, cost in enumerate(amounts)]), TEN_PEOPLE)


def test_the_score_is_the_mean_weighted_by_the_reviewed() -> None:
    found = made(evidence(scores=Scores(7, 3.4)))["average_performance_score"]
    assert (found.value, found.weight, found.currency) == (3.4, 7, "")


_MONEY = st.floats(-1e12, 1e12)
_CURRENCIES = st.sampled_from(["EUR", "USD", "GBP"])
_BACK = st.integers(-14, 30)
_EVIDENCE = st.builds(
    evidence,
    payroll=st.lists(st.builds(paid, _BACK, _MONEY, _CURRENCIES), max_size=6),
    contracts=st.lists(st.builds(contract, st.floats(0, 1e12), _CURRENCIES), max_size=4),
    ended=st.integers(0, 5).flatmap(lambda ended: st.builds(EndedContracts, st.integers(0, ended), st.just(ended))),
    spend=st.lists(st.builds(spent, _BACK, st.none() | _MONEY, st.none() | _MONEY, _CURRENCIES), max_size=6),
    scores=st.just(NO_SCORES) | st.builds(Scores, st.integers(1, 9), st.floats(1, 5)),
)
_MONTHS = st.lists(st.none() | st.builds(HeadcountMonth, st.integers(0, 50), st.integers(0, 9)), min_size=WINDOW, max_size=WINDOW)


@settings(max_examples=150)
@given(_EVIDENCE, _MONTHS)
def test_whatever_is_known_a_contribution_is_a_number_with_weight_or_left_out(known: Evidence, months: list[HeadcountMonth | None]) -> None:
    for each in made(known, months).values():
        assert math.isfinite(each.value)
        assert math.isfinite(each.weight)
        assert each.weight > 0
        assert each.period == PERIOD
        assert (each.currency != "") == (BY_NAME[each.metric].unit is Unit.MONEY)
