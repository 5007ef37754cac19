"""The normal distribution, and Student's t by way of it, without scipy."""

from __future__ import annotations

import math

QUANTILE_90 = 1.2815515655446004
"""What 90 % of a standard normal variable lie below; an 80 % interval reaches from minus this to plus this."""

QUANTILE_975 = 1.959963984540054
"""Half the width of a 95 % interval of a standard normal variable."""


def cumulative(score: float) -> float:
    """Share of a standard normal variable at or below `score`, 0 to 1."""
    return 0.5 * math.erfc(-score / math.sqrt(2))


def density(score: float) -> float:
    """Density of a standard normal variable at `score`."""
    return math.exp(-0.5 * score * score) / math.sqrt(2 * math.pi)


def from_student(ratio: float, free: float) -> float:
    """The normal score that is as rare as a ratio of Student's t with `free` degrees of freedom (below 1 taken as 1).

    Wallace (1959, "Bounds on normal approximations to Student's and the chi-square distributions"), at most 0.07 too small
    from 3 degrees of freedom on while the score is below 3.3, 0.02 from 10 on.
    """
    free = max(free, 1.0)
    # log1p of a square that is too large for a float would be infinite.
    squared = min(abs(ratio), 1e150) ** 2
    score = math.sqrt(free * math.log1p(squared / free)) * (8 * free + 1) / (8 * free + 3)
    return math.copysign(score, ratio)


def overshoot(mean: float, deviation: float) -> float:
    """Mean of the part above 0 of a normal variable, 0 where it is below; `deviation` at least 0.

    The expected improvement of Mockus (1975): deviation x density(k) + mean x cumulative(k) with k = mean / deviation.
    """
    if deviation <= 0:
        return max(mean, 0.0)
    ratio = max(min(mean / deviation, 1e9), -1e9)
    return max(deviation * density(ratio) + mean * cumulative(ratio), 0.0)
