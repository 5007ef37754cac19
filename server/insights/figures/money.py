"""Pay and spend as monthly series, and the budget of the year."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights.detect.inputs import CostCentrePayroll
from server.insights.detect.outcome import month_number, start_of_month
from server.stats.seasonal import MonthlySeries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from server.insights.evidence.model import PayrollMonth, SpendMonth

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

    """

    unit: str
    currency: str
    budget: float
    spent: float
    spent_through: int
    last_month: int
    history: tuple[float | None, ...]
    first: int


def payrolls(rows: Sequence[PayrollMonth], today: date) -> Sequence[CostCentrePayroll]:
    """Return the payroll of every cost centre and currency up to last month."""
    grouped: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        if row.month < month_number(today):
            grouped[row.cost_centre, row.currency][row.month] = row.cost
    return [
        CostCentrePayroll(centre, currency, _series(months), start_of_month(max(months) + 1) - _ONE_DAY)
        for (centre, currency), months in grouped.items()
    ]


def budgets(rows: Sequence[SpendMonth], today: date) -> tuple[Sequence[Budget], Mapping[str, int]]:
    """Return the plans of the year of last month, and how many units have none that is complete, by reason."""
    december = (month_number(today) - 1) // MONTHS * MONTHS + MONTHS - 1
    spent: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    planned: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        if row.amount is not None and row.month < month_number(today):
            spent[row.unit, row.currency][row.month] = row.amount
        if row.budget is not None and december - MONTHS < row.month <= december:
            planned[row.unit, row.currency][row.month] = row.budget
    found: list[Budget] = []
    skipped: dict[str, int] = defaultdict(int)
    for key, months in spent.items():
        plan = planned.get(key, {})
        if not plan:
            skipped["NO_BUDGET"] += 1
        elif len(plan) < MONTHS:
            skipped["INCOMPLETE_BUDGET"] += 1
        else:
            found.append(_budget(key, months, sum(plan.values()), december))
    return found, skipped


def _budget(key: tuple[str, str], months: Mapping[int, float], planned: float, december: int) -> Budget:
    through = max(*months, december - MONTHS)
    first = min(months)
    spent = sum(amount for month, amount in months.items() if december - MONTHS < month <= through)
    history = tuple(months.get(month) for month in range(first, max(months) + 1))
    return Budget(key[0], key[1], planned, spent, through, december, history, first)


def _series(months: Mapping[int, float]) -> MonthlySeries:
    first = min(months)
    return MonthlySeries(first, tuple(months.get(month) for month in range(first, max(months) + 1)))
