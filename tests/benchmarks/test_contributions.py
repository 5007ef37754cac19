"""What an organization weighs in a cell that several currencies share."""

from __future__ import annotations

from datetime import date

import pytest

from server.benchmarks.catalogue import METRICS, Unit
from server.benchmarks.model import OrganizationMetric
from server.insights.detect.outcome import month_number
from server.insights.evidence.model import SpendMonth
from server.insights.figures.contributions import _variance

TODAY = date(2026, 11, 1)


def _plans(currency: str, budget: float, units: int) -> list[SpendMonth]:
    newest = month_number(TODAY)
    return [
        SpendMonth(unit=f"unit-{unit}", currency=currency, month=newest - month, amount=1.1 * budget, budget=budget)
        for unit in range(units)
        for month in range(1, 13)
    ]


def test_a_budget_in_yen_weighs_no_more_than_one_in_euros_and_more_plans_do() -> None:
    """With money for a weight nine plans in yen hid one in euros that was larger than all of them."""
    yen, euros, large = (
        each
        for plan in (("JPY", 1_000_000.0, 2), ("EUR", 50_000.0, 2), ("EUR", 50_000.0, 20))
        for each in _variance(_plans(*plan), TODAY)
        if isinstance(each, OrganizationMetric)
    )
    assert yen.weight == euros.weight == large.weight / 10
    assert [each.value for each in (yen, euros, large)] == pytest.approx([10.0] * 3)
    assert yen.currency == ""


def test_a_weight_is_money_only_where_a_cell_has_one_currency() -> None:
    for metric in METRICS:
        money = any(word in metric.weight for word in ("payroll", "value"))
        assert money is (metric.unit is Unit.MONEY), metric.name
