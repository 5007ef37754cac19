"""Pay and spend as monthly series, and the budget of the year."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights.detect.inputs import CostCentrePayroll
from server.insights.detect.outcome import SkipReason, is_amount, month_number, start_of_month
from server.stats.seasonal import MonthlySeries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date
    from typing import TypeAlias

    from server.insights.evidence.model import PayrollMonth, SpendMonth

    _Months: TypeAlias = dict[int, dict[str, float]]

MONTHS = 12
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Budget:
    """The plan of a unit for one calendar year, and its spend so far.

    Args:
        unit: whose.
        currency: ISO 4217.
        budget: sum over the twelve months.
        spent: from January to the end of `spent_through`.
        spent_through: last complete month whose spend is known; the month before January when none is.
        last_month: December.
        history: spend per month up to `spent_through`, oldest first; None in gaps.
        first: month of the first of `history`.
        plan: by month, of the categories that `history` is of.

    """

    unit: str
    currency: str
    budget: float
    spent: float
    spent_through: int
    last_month: int
    history: tuple[float | None, ...]
    first: int
    plan: Mapping[int, float] = field(default_factory=dict)


def payrolls(rows: Sequence[PayrollMonth], today: date) -> Sequence[CostCentrePayroll]:
    """Return the payroll of every cost centre and currency up to last month."""
    grouped: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    people: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for row in rows:
        if row.month < month_number(today):
            grouped[row.cost_centre, row.currency][row.month] = row.cost
            people[row.cost_centre, row.currency][row.month] = row.people
    return [
        CostCentrePayroll(centre, currency, _series(months), start_of_month(max(months) + 1) - _ONE_DAY, people[centre, currency])
        for (centre, currency), months in grouped.items()
    ]


def budgets(rows: Sequence[SpendMonth], today: date) -> tuple[Sequence[Budget], Mapping[str, int]]:
    """Return the plans of the year of today, and how many units cannot be judged, by reason.

    Counted are the categories that are planned in each month of the year: what is spent on others is spent on no plan.
    """
    december = month_number(today) // MONTHS * MONTHS + MONTHS - 1
    grouped: dict[tuple[str, str], list[SpendMonth]] = defaultdict(list)
    for row in rows:
        grouped[row.unit, row.currency].append(row)
    found: list[Budget] = []
    skipped: dict[str, int] = defaultdict(int)
    for key, own in grouped.items():
        amounts, plans = _by_month(own, month_number(today))
        planned = {month: plan for month, plan in plans.items() if december - MONTHS < month <= december}
        if not amounts and not planned:
            continue
        counted = set.intersection(*map(set, planned.values())) if len(planned) == MONTHS else set()
        if not planned or not counted:
            skipped[(SkipReason.INCOMPLETE_BUDGET if planned else SkipReason.NO_BUDGET).value] += 1
            continue
        budget = _budget(key, _sums(amounts, counted), _sums(plans, counted), december)
        booked = max((month for month, spent in amounts.items() if counted & spent.keys()), default=None)
        if budget is None or booked is None or _has_gap(budget, booked):
            skipped[SkipReason.INCOMPLETE_SPEND.value] += 1
        elif not _is_sound(budget):
            skipped[SkipReason.INVALID_FIGURES.value] += 1
        else:
            found.append(budget)
    return found, skipped


def _by_month(rows: Sequence[SpendMonth], now: int) -> tuple[_Months, _Months]:
    """Amounts of complete months, and plans, by month and category."""
    amounts: _Months = defaultdict(dict)
    plans: _Months = defaultdict(dict)
    for row in rows:
        if row.amount is not None and row.month < now:
            amounts[row.month][row.category] = row.amount
        if row.budget is not None:
            plans[row.month][row.category] = row.budget
    return amounts, plans


def _sums(months: _Months, counted: AbstractSet[str]) -> Mapping[int, float]:
    """Of the months in which none of the counted categories is missing; the others would be sums of something else."""
    return {month: sum(of[category] for category in sorted(counted)) for month, of in months.items() if counted <= of.keys()}


def _budget(key: tuple[str, str], months: Mapping[int, float], plan: Mapping[int, float], december: int) -> Budget | None:
    """None when no month is known to be spent."""
    if not months:
        return None
    first, last = min(months), max(months)
    through = max(last, december - MONTHS)
    return Budget(
        unit=key[0],
        currency=key[1],
        budget=sum(plan[month] for month in range(december - MONTHS + 1, december + 1)),
        spent=sum(amount for month, amount in months.items() if december - MONTHS < month),
        spent_through=through,
        last_month=december,
        history=tuple(months.get(month) for month in range(first, last + 1)),
        first=first,
        plan=plan,
    )


def _has_gap(budget: Budget, booked: int) -> bool:
    """Whether a month of the year before the newest that anything is booked in is not known; that one may still be booked."""
    known = budget.history[max(0, budget.last_month - MONTHS + 1 - budget.first) :]
    whole = max(0, budget.spent_through - (budget.last_month - MONTHS))
    return len([amount for amount in known if amount is not None]) < whole or booked > budget.spent_through + 1


def _is_sound(budget: Budget) -> bool:
    """Whether each month is an amount: categories are, and their sum may be too large to be forecast."""
    return is_amount(*(amount for amount in budget.history if amount is not None), *budget.plan.values())


def _series(months: Mapping[int, float]) -> MonthlySeries:
    first = min(months)
    return MonthlySeries(first, tuple(months.get(month) for month in range(first, max(months) + 1)))
