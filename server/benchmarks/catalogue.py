"""The metrics that are compared: one table, from which the contract's comments, the guide and the release are checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.stats.quartiles import Grid


class Unit(StrEnum):
    """What a value counts."""

    SHARE = "share"
    MONEY = "money"
    PERCENT = "percent"
    SCORE = "score"


class Direction(StrEnum):
    """Which end of the distribution is the good one."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Args:
        name: as callers write it.
        unit: of the value; money is compared within one currency.
        direction: what is better.
        grid: public points that values are brought to, within the bounds that they are winsorized to.
        weight: what an organization's weight in a cell counts, for the rule that none has over a quarter.
        meaning: the value in words.

    """

    name: str
    unit: Unit
    direction: Direction
    grid: Grid
    weight: str
    meaning: str


# Money has two significant digits: the grid serves every currency, and a large contract is no more exact than a small one.
_MONEY = Grid(low=0.0, high=1e9, step=10.0, digits=2)

METRICS = (
    Metric(
        "employee_turnover_rate",
        Unit.SHARE,
        Direction.LOWER,
        Grid(low=0.0, high=2.0, step=0.005),
        "mean headcount",
        "exits of the last twelve months over mean headcount",
    ),
    Metric(
        "payroll_cost_per_employee",
        Unit.MONEY,
        Direction.NEITHER,
        _MONEY,
        "payroll of the last twelve months",
        "payroll of the last twelve months over mean headcount",
    ),
    Metric(
        "contract_renewal_rate",
        Unit.SHARE,
        Direction.HIGHER,
        Grid(low=0.0, high=1.0, step=0.01),
        "contracts that came to their end",
        "renewed contracts over contracts that came to their end in the last twelve months",
    ),
    Metric(
        "average_contract_value",
        Unit.MONEY,
        Direction.NEITHER,
        _MONEY,
        "value of all active contracts",
        "mean total value of active contracts",
    ),
    Metric(
        "budget_variance_pct",
        Unit.PERCENT,
        Direction.LOWER,
        Grid(low=-100.0, high=200.0, step=0.5),
        "budget of the last twelve months",
        "spend over budget of the last twelve months, less 100",
    ),
    Metric(
        "average_performance_score",
        Unit.SCORE,
        Direction.HIGHER,
        Grid(low=1.0, high=5.0, step=0.05),
        "reviewed employees",
        "mean of the latest scores of employees, on a scale of 1 to 5",
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}
