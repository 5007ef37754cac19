"""What an organization contributes to the benchmarks: one value per metric of the catalogue, as far as it can be computed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from server.benchmarks.model import OrganizationMetric
from server.insights.detect.outcome import LEAST_AMOUNT, SkipReason, month_number
from server.insights.figures.money import MONTHS
from server.insights.figures.staff import mean_headcount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from server.insights.evidence.model import Evidence, PayrollMonth, SpendMonth
    from server.stats.turnover import HeadcountMonth, TurnoverRate

_PAID_IN_MAIN = 0.95
"""Share of the paid people from which pay of one currency stands for all."""


def contributions(
    evidence: Evidence, months: Sequence[HeadcountMonth | None], rate: TurnoverRate | None, today: date
) -> Iterator[OrganizationMetric | SkipReason]:
    """Yield the values of the month that the run is in, and of what is known but gives none, why: a share of less than a cent, say."""
    period = today.replace(day=1)
    headcount = mean_headcount(months)
    if rate is not None:
        yield OrganizationMetric("employee_turnover_rate", period, rate.rate, rate.average_headcount)
    if headcount:
        yield from _payroll(evidence.payroll, headcount, period)
    if evidence.ended.ended:
        share = evidence.ended.renewed / evidence.ended.ended
        yield OrganizationMetric("contract_renewal_rate", period, share, evidence.ended.ended)
    in_force = [contract for contract in evidence.contracts if contract.end_date is None or contract.end_date >= today]
    values = _of_main_currency([(contract.currency, contract.value) for contract in in_force])
    if values is not None:
        currency, amounts = values
        value = OrganizationMetric("average_contract_value", period, sum(amounts) / len(amounts), sum(amounts), currency)
        yield value if value.weight >= LEAST_AMOUNT else SkipReason.NO_AMOUNT
    yield from _variance(evidence.spend, period)
    if evidence.scores.mean is not None:
        yield OrganizationMetric("average_performance_score", period, evidence.scores.mean, evidence.scores.people)
    elif evidence.scores.without_scale:
        yield SkipReason.NO_SCALE


def _payroll(rows: Sequence[PayrollMonth], headcount: float, period: date) -> Iterator[OrganizationMetric | SkipReason]:
    """Payroll of the last twelve complete months per employee paid in its currency; of fewer known months, drawn out to twelve."""
    newest = month_number(period)
    recent = [row for row in rows if newest - MONTHS <= row.month < newest]
    people: Counter[str] = Counter()
    for row in recent:
        people[row.currency] += row.people
    if not people.total():
        return
    currency = max(sorted(people), key=people.__getitem__)
    share = people[currency] / people.total()
    # The headcount is of all, whatever they are paid in: with many paid otherwise, who of them is meant is not known.
    if share < _PAID_IN_MAIN:
        yield SkipReason.MIXED_CURRENCIES
        return
    main = [row for row in recent if row.currency == currency]
    cost = sum(row.cost for row in main) * MONTHS / len({row.month for row in main})
    value = OrganizationMetric("payroll_cost_per_employee", period, cost / (share * headcount), cost, currency)
    yield value if cost >= LEAST_AMOUNT else SkipReason.NO_AMOUNT


def _variance(rows: Sequence[SpendMonth], period: date) -> Iterator[OrganizationMetric | SkipReason]:
    """Spend over budget of the categories and months of the last twelve that have both, in percent, less 100.

    The weight counts plans and not their money, for it is compared across currencies: in yen a small plan outweighs any in euros.
    """
    newest = month_number(period)
    both = [
        (row.currency, row.amount, row.budget)
        for row in rows
        if newest - MONTHS <= row.month < newest and row.amount is not None and row.budget is not None
    ]
    main = _of_main_currency([(currency, budget) for currency, _, budget in both])
    if main is None:
        return
    budget = sum(main[1])
    if budget < LEAST_AMOUNT:
        yield SkipReason.NO_AMOUNT
        return
    spent = sum(amount for currency, amount, _ in both if currency == main[0])
    yield OrganizationMetric("budget_variance_pct", period, 100 * (spent / budget - 1), len(main[1]))


def _of_main_currency(amounts: Sequence[tuple[str, float]]) -> tuple[str, list[float]] | None:
    """Return the amounts of the currency that most of them are in: amounts of different ones have no sum."""
    if not amounts:
        return None
    main = main_currency([currency for currency, _ in amounts])
    return main, [amount for currency, amount in amounts if currency == main]


def main_currency(currencies: Sequence[str]) -> str:
    """Return the one that most are; empty when there is none."""
    return max(sorted(set(currencies)), key=currencies.count, default="")
