"""Quartiles of organizations' values on a public grid.

What always holds: every value is brought to the grid before anything is computed, so that whatever somebody learns from any
number of cells and releases is a function of grid points. No value can then be pinned more closely than the values that
round to its point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SHARES = (0.25, 0.50, 0.75)
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Grid:
    """The points that values are brought to, within public bounds.

    Args:
        low: smallest value; what is smaller is set to it (winsorizing).
        high: largest value, alike.
        step: distance of two points, in the unit of the metric.
        digits: significant digits beyond which a value is rounded as well, so that the distance grows with the value; 0 is
            none. Two digits make 1,234 to 1,200.

    """

    low: float
    high: float
    step: float
    digits: int = 0

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the points of finite `values`, of the same shape; halves go up."""
        within = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        step = self.width(within)
        placed = np.clip(np.floor(within / step + 0.5) * step, self.low, self.high)
        return np.round(placed, _DECIMALS).astype(np.float64)

    def width(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance of the points around each of `values`, never less than `step`."""
        if not self.digits:
            return np.full(values.shape, self.step)
        # The smallest step decides below the values that have so many digits.
        magnitude = np.floor(np.log10(np.maximum(np.abs(values), self.step)))
        widths = np.maximum(self.step, np.power(10.0, magnitude - (self.digits - 1)))
        return np.asarray(widths, dtype=np.float64)

    def points(self) -> NDArray[np.float64]:
        """Return every point, ascending."""
        if not self.digits:
            count = round((self.high - self.low) / self.step)
            return np.unique(self.place(self.low + self.step * np.arange(count + 1)))
        made = [np.arange(0.0, 10.0**self.digits) * self.step]
        top = self.step * 10.0**self.digits
        while top <= self.high:
            made.append(np.arange(10.0 ** (self.digits - 1), 10.0**self.digits) * top / 10.0 ** (self.digits - 1))
            top *= 10.0
        positive = np.concatenate(made)
        every = np.concatenate([-positive, positive])
        return np.unique(self.place(every[(every >= self.low) & (every <= self.high)]))


def quartiles(values: Sequence[float], grid: Grid) -> tuple[float, float, float]:
    """Return the 25th, 50th and 75th percentile of the values' grid points: each is the point of one of the values.

    The inverse of the empirical distribution function, definition 1 of Hyndman and Fan, "Sample Quantiles in Statistical
    Packages", The American Statistician 50 (1996). It is chosen over interpolation, which would mix two neighbours into a
    figure that tells something new of them in every cell they share.

    Raises:
        ValueError: there is no value.

    """
    placed = np.sort(grid.place(values))
    if not placed.size:
        msg = "quartiles of nothing"
        raise ValueError(msg)
    first, middle, third = (float(placed[max(int(np.ceil(placed.size * share)) - 1, 0)]) for share in SHARES)
    return first, middle, third
