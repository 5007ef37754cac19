"""What a row is, and how two things are measured in turns."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        name: what was measured.
        ours: the measured value with its unit.
        bare: the same of the bare equivalent, or what else stands beside it.
        ratio: `ours` by `bare`; None where the row has an absolute target.
        spread: smallest and largest ratio of a round.
        target: what was promised, in words.
        met: whether it was kept; None without a target.
        note: what was counted besides.

    """

    name: str
    ours: str
    bare: str = ""
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that could not be measured here, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two things measured in turns: the values of every round."""

    ours: Sequence[float]
    bare: Sequence[float]

    @property
    def our_median(self) -> float:
        """The middle value of ours."""
        return statistics.median(self.ours)

    @property
    def bare_median(self) -> float:
        """The middle value of the bare one."""
        return statistics.median(self.bare)

    @property
    def ratio(self) -> float:
        """The middle one of the rounds' ratios."""
        return statistics.median(self._ratios())

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio of a round."""
        return min(self._ratios()), max(self._ratios())

    def _ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.ours, self.bare, strict=True)]


async def in_turns(rounds: int, ours: Callable[[], Awaitable[float]], bare: Callable[[], Awaitable[float]]) -> Pair:
    """Measure both `rounds` times, ours first, after a round of each that does not count."""
    await ours()
    await bare()
    mine, other = [], []
    for _ in range(rounds):
        mine.append(await ours())
        other.append(await bare())
    return Pair(mine, other)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 10_000) * len(ordered) // 10_000) - 1)]
