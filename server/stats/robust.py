"""Estimates that a few wild values cannot move."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

MAD_TO_SIGMA = 1.4826
"""Makes the median absolute deviation of normal numbers their standard deviation (Rousseeuw & Croux 1993)."""

# What the estimate falls short by in small samples (Croux & Rousseeuw 1992); beyond 9 values n / (n - 0.8).
_SMALL_SAMPLES = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}


def median(values: Numbers) -> float:
    """Median of at least one value; several times as fast as numpy's for the short series of this package."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else float(ordered[half - 1] / 2 + ordered[half] / 2)


def mad_sigma(values: Numbers, *, lost: float = 0.0) -> float:
    """Robust standard deviation: 1.4826 x MAD, corrected for small samples.

    Args:
        values: residuals, any number of them; fewer than two have the deviation 0.
        lost: degrees of freedom that were spent on making the residuals.

    """
    count = len(values)
    if count <= 1:
        return 0.0
    spread = median(np.abs(values - median(values)))
    correction = _SMALL_SAMPLES.get(count, count / (count - 0.8))
    return MAD_TO_SIGMA * spread * correction * math.sqrt(count / max(count - lost, 1.0))


def theil_sen(times: Numbers, values: Numbers) -> float | None:
    """Slope of a line through points: the median of the slopes of all pairs (Theil 1950, Sen 1968).

    Up to 29 % of the points may be anything. None without two points at different times.
    """
    first, second = np.triu_indices(len(times), k=1)
    gaps = times[second] - times[first]
    apart = gaps != 0
    if not apart.any():
        return None
    return median((values[second] - values[first])[apart] / gaps[apart])
