"""Quartiles with differential privacy, by OpenDP; the only file that imports it, and not before it is asked.

What always holds: noise and its source of randomness are OpenDP's, and so is the arithmetic that says how much privacy an
answer costs. Adding or removing one organization changes the odds of any answer by at most a factor of e^epsilon, whatever
else is known (Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014). The mechanism scores the points
of the grid and draws one (Smith, "Privacy-preserving statistical estimation with optimal convergence rates", STOC 2011;
McKenna and Sheldon, "Permute-and-Flip", NeurIPS 2020).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from server.stats.quartiles import SHARES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opendp.mod import Measurement

    from server.stats.quartiles import Grid

_ONE_ORGANIZATION = 1


def private_quartiles(values: Sequence[float], grid: Grid, epsilon: float) -> tuple[float, float, float]:
    """Return the three quartiles, points of the grid in ascending order; together they cost `epsilon`.

    Each is drawn with a third of it, which adds up by sequential composition; putting them in order costs nothing.

    Args:
        values: finite, one per organization.
        grid: its points are the possible answers, so they must not depend on the values.
        epsilon: greater than 0.

    """
    placed = [float(value) for value in grid.place(values)]
    first, middle, third = sorted(float(quantile(grid, share, epsilon / len(SHARES))(placed)) for share in SHARES)
    return first, middle, third


@lru_cache(maxsize=256)
def quantile(grid: Grid, share: float, epsilon: float) -> Measurement:
    """Return OpenDP's measurement of one quantile; its `map` says that one organization more or less costs at most `epsilon`."""
    import opendp.prelude as dp  # noqa: PLC0415 - takes seconds, and only the private mode needs it

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T=float, nan=False))
    points = [float(point) for point in grid.points()]

    def measurement(scale: float) -> Measurement:
        return dp.m.make_private_quantile(domain, dp.symmetric_distance(), dp.max_divergence(), points, share, scale)

    scale = dp.binary_search_param(measurement, d_in=_ONE_ORGANIZATION, d_out=epsilon, T=float)
    return measurement(float(scale))
