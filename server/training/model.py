"""The rows a training reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date
    from typing import TypeAlias

    from server.facts.model import AttributeValue

    T = TypeVar("T")
    # What was read, still row by row; the call computes, and belongs into a thread.
    Read: TypeAlias = Callable[[], T]

TRAIN = "train"
"""Name of the job that trains one type; its scope is the model type."""


@dataclass(frozen=True, slots=True)
class PooledRows:
    """Labelled rows by column; all sequences have the same length, None is an absent value.

    Args:
        columns: features by name.
        labels: what came of each row.
        contributors: number of organizations the rows come from.
        dates: from when each row is.
        held_out: whether the row's subject is one that no version is trained on.

    """

    columns: Mapping[str, Sequence[AttributeValue | None]]
    labels: Sequence[bool]
    contributors: int
    dates: Sequence[date]
    held_out: Sequence[bool]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    @property
    def cutoff(self) -> date | None:
        """Date of the newest row."""
        return max(self.dates, default=None)


@dataclass(frozen=True, slots=True)
class PooledSeries:
    """Months of many series, by column, ordered by series; None is an absent value.

    Args:
        series: number of the series that each month belongs to.
        category: what is counted; None for the total of a unit.
        months: first day of each month.
        amounts: what was spent.
        budgets: what was planned.
        contributors: number of organizations the series come from.

    """

    series: Sequence[int]
    category: Sequence[str | None]
    months: Sequence[date]
    amounts: Sequence[float | None]
    budgets: Sequence[float | None]
    contributors: int

    def __len__(self) -> int:
        """Return the number of months with an amount."""
        return sum(amount is not None for amount in self.amounts)

    @property
    def cutoff(self) -> date | None:
        """The newest month with an amount."""
        known = (month for month, amount in zip(self.months, self.amounts, strict=True) if amount is not None)
        return max(known, default=None)
