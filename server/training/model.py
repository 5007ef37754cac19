"""The rows a training reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from server.ml.encoding import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    from server.ml.encoding import Table
    from server.ml.evaluation import Rows

    T = TypeVar("T")
    # What was read, still row by row; the call computes, and belongs into a thread.
    Read: TypeAlias = Callable[[], T]

TRAIN = "train"
"""Name of the job that trains one type; its scope is the model type."""


@dataclass(frozen=True, slots=True, eq=False)
class PooledRows:
    """Labelled rows by column, n in each.

    Args:
        columns: features by name; an absent number is NaN, True is 1.
        labels: what came of each row (n,).
        contributors: number of organizations the rows come from.
        dates: from when each row is (n,), `datetime64[D]`.
        held_out: whether the row's subject is one that no version is trained on (n,).

    """

    columns: Table
    labels: npt.NDArray[np.bool_]
    contributors: int
    dates: npt.NDArray[np.datetime64]
    held_out: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    @property
    def cutoff(self) -> date | None:
        """Date of the newest row that is learned from; None where all are held out."""
        taught = self.dates[~self.held_out]
        return taught.max().item() if len(taught) else None

    def at(self, rows: Rows) -> PooledRows:
        """Return some of the rows, by their places."""
        return PooledRows(rows_of(self.columns, rows), self.labels[rows], self.contributors, self.dates[rows], self.held_out[rows])


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
