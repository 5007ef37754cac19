"""Intervals that contain as many outcomes as they say: conformalized quantile regression.

The trees' quantiles are fitted to the past and too narrow for what comes. How far the outcomes of later months, which the trees
had not seen, lay outside says by how much to widen them (Romano, Patterson & Candes 2019, with a margin for each side, their
section 5): another margin far ahead than near, from short histories than from long ones. Their guarantee needs exchangeable
rows, which months are not: every year brings something that was not there before. So the share aimed at grows when a later window
had too few outcomes inside (adaptive conformal inference, Gibbs & Candes 2021), and the share that held-out months had is
measured and kept beside the margins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from server.ml.series import YEAR, Places, Values

COVERAGE = 0.8
"""Share of outcomes the interval is to contain: from the 10 % to the 90 % quantile."""

FIRST_AIM = 0.85
"""What to aim at before a second window has shown how much windows differ."""

_HIGHEST_AIM = 0.92
_GAIN = 0.5

MINIMUM_SCORES = 200
"""Fewer held-out outcomes of a group say too little, as those of one series go together: it gets the margin of all."""

LONG_HISTORY = 2 * YEAR
"""Months with a value from which on a history is long: a season was seen twice."""

_HORIZONS = (3, 6)
GROUPS = 2 * (len(_HORIZONS) + 1)


class IntervalsInvalid(ValueError):
    """The JSON is not what was fitted."""


def groups(horizons: Places, history: Places) -> Places:
    """The group of rows (n,) by months ahead (1-3, 4-6, 7-12) and months of history (below two years, or more)."""
    ahead = np.searchsorted(_HORIZONS, horizons)
    found: Places = ahead + np.where(history >= LONG_HISTORY, 0, len(_HORIZONS) + 1)
    return found


@dataclass(frozen=True, slots=True)
class Margins:
    """How far the ends of an interval move outwards, by group, in the units of the quantiles; negative is inwards."""

    below: tuple[float, ...]
    above: tuple[float, ...]

    def widen(self, quantiles: Values, group: Places) -> Values:
        """Low, median and high (n, 3), in order; the median stays."""
        low = quantiles[:, 0] - np.array(self.below)[group]
        high = quantiles[:, 2] + np.array(self.above)[group]
        middle = quantiles[:, 1]
        return np.stack([np.minimum(low, middle), middle, np.maximum(high, middle)], axis=1)

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {"below": list(self.below), "above": list(self.above)}

    @classmethod
    def from_json(cls, data: object) -> Margins:
        """Read what `to_json` wrote.

        Raises:
            IntervalsInvalid: it is something else.

        """
        if not isinstance(data, Mapping):
            raise IntervalsInvalid(_MESSAGE)
        return cls(numbers(data.get("below"), GROUPS), numbers(data.get("above"), GROUPS))


_MESSAGE = f"margins are {GROUPS} finite numbers for each side"


def next_aim(aim: float, covered: float) -> float:
    """The share to aim at after a window in which `covered` lay inside: more when that were too few, never below `COVERAGE`."""
    return min(max(aim + _GAIN * (COVERAGE - covered), COVERAGE), _HIGHEST_AIM)


def fit(quantiles: Values, outcomes: Values, group: Places, aim: float) -> Margins:
    """Fit margins to rows the trees have not seen.

    Args:
        quantiles: (n, 3), in order.
        outcomes: (n,), in the same units.
        group: (n,), from `groups`.
        aim: share of outcomes that is to lie inside.

    """
    below, above = quantiles[:, 0] - outcomes, outcomes - quantiles[:, 2]
    chosen = [_members(group, number) for number in range(GROUPS)]
    return Margins(tuple(_margin(below[each], aim) for each in chosen), tuple(_margin(above[each], aim) for each in chosen))


def coverage(inside: Values, group: Places) -> tuple[float, ...]:
    """Share of rows inside of their interval, by group; `inside` is 0 or 1 (n,)."""
    return tuple(float(np.mean(inside[_members(group, number)])) for number in range(GROUPS))


def _members(group: Places, number: int) -> Places:
    members = np.nonzero(group == number)[0]
    return members if len(members) >= MINIMUM_SCORES else np.arange(len(group))


def _margin(scores: Values, aim: float) -> float:
    """The ceil((n + 1)(1 - a))-th smallest of n scores; the share outside on this side, a, is half of that on both."""
    share = 1 - (1 - aim) / 2
    place = min(math.ceil((len(scores) + 1) * share), len(scores)) - 1
    return float(np.partition(scores, place)[place])


def numbers(value: object, count: int) -> tuple[float, ...]:
    """So many finite numbers of a JSON list.

    Raises:
        IntervalsInvalid: it is something else.

    """
    if isinstance(value, list) and len(value) == count:
        found = tuple(float(each) for each in value if isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each))
        if len(found) == count:
            return found
    raise IntervalsInvalid(_MESSAGE)
