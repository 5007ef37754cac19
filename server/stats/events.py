"""One-off events and level shifts in a series, found one after the other by regression.

The procedure of Chen & Liu (1993, "Joint estimation of model parameters and outlier effects in time series", JASA 88), as
X-13ARIMA-SEATS uses it with 1.4826 x MAD as its scale (U.S. Census Bureau, X-13ARIMA-SEATS Reference Manual, `outlier`
spec), with the seasonal events of Kaiser & Maravall (2001), here for a regression with independent errors: add whichever
event explains most until none explains enough, then take out those that no longer do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from server.stats.robust import Numbers, mad_sigma

ENTERS = 3.3
"""How many robust standard errors an effect must have to count as an event; X-13 uses 3.3 to 4 for series of this length."""

_LARGEST_SHARE = 0.3
_FEWEST_FREE = 4.0
_LEAST_INFORMATION = 0.05
_SHORTEST_SIDE = 3
_SINGULAR = 1e-8
RIDGE = 0.02
"""Pull of the seasonal effects to 0: next to nothing against two years, and what decides that of two equal months that
disagree the one out of line was the event."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A regression with its events.

    Args:
        design: a row for each month seen, a column for each effect.
        weights: the effects.
        spread: inverse of the penalized cross products, so that x' spread x is the variance of a prediction at x, in
            units of the squared sigma.
        penalty: pull of each effect to 0.
        order: the candidates behind the last columns of the design, in their order.
        one_offs: rows that stand alone.
        residuals: what is left.
        free: degrees of freedom that are left.

    """

    design: Numbers
    weights: Numbers
    spread: Numbers
    penalty: Numbers
    order: tuple[int, ...]
    one_offs: tuple[int, ...]
    residuals: Numbers
    free: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be an event: a column each, first one per row (one-offs), then one per row (shifts), then twelve (months)."""

    columns: Numbers
    allowed: np.ndarray[tuple[int], np.dtype[np.bool_]]

    @classmethod
    def of(cls, calendar: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Candidates:
        """For rows with these calendar months, 0 to 11, in the order of time."""
        count = len(calendar)
        rows = np.arange(count)
        shifts = (rows[:, None] >= rows[None, :]).astype(np.float64)
        months = (calendar[:, None] == np.arange(12)[None, :]).astype(np.float64)
        long_enough = (rows >= _SHORTEST_SIDE) & (rows <= count - 2)
        return cls(
            np.hstack([np.eye(count), shifts, months]),
            np.concatenate([np.ones(count, dtype=np.bool_), long_enough, months.sum(axis=0) >= 2]),  # noqa: PLR2004 - what recurs came twice
        )


def search(values: Numbers, base: Numbers, penalty: Numbers, candidates: Candidates, floor: float) -> Fit:
    """Fit `values` on `base` and the events it needs.

    Args:
        values: one per row.
        base: columns that are always in.
        penalty: the pull to 0 of each.
        candidates: what may be added.
        floor: the least sigma.

    """
    chosen = _forward(values, base, penalty, candidates, floor)
    while True:
        fit = solve(values, base, penalty, candidates, chosen)
        if not chosen:
            return fit
        sigma = max(robust_sigma(fit), floor)
        errors = sigma * np.sqrt(np.diag(fit.spread)[base.shape[1] :])
        weakest = int(np.argmin(np.abs(fit.weights[base.shape[1] :]) / errors))
        if abs(fit.weights[base.shape[1] + weakest]) >= ENTERS * errors[weakest]:
            return fit
        chosen.pop(weakest)


def solve(values: Numbers, base: Numbers, penalty: Numbers, candidates: Candidates, chosen: list[int]) -> Fit:
    """Fit `values` on `base` and the chosen candidates."""
    count = len(values)
    design = np.hstack([base, candidates.columns[:, chosen]])
    pulls = np.concatenate([penalty, np.where(np.array(chosen, dtype=np.intp) >= 2 * count, RIDGE, 0.0)])
    spread = _inverse(design, pulls)
    weights = spread @ (design.T @ values)
    used = float(np.einsum("ij,jk,ik->", design, spread, design))
    return Fit(
        design,
        weights,
        spread,
        pulls,
        tuple(chosen),
        tuple(place for place in chosen if place < count),
        values - design @ weights,
        count - used,
    )


def robust_sigma(fit: Fit) -> float:
    """Robust sigma of the months that are no event."""
    ordinary = np.delete(fit.residuals, list(fit.one_offs))
    return mad_sigma(ordinary, lost=len(ordinary) - fit.free)


def reweighted_sigma(fit: Fit) -> float:
    """Standard deviation of the months that are no event.

    What stood out by robust standards is out, so that the efficient estimate is safe: the reweighting of Rousseeuw & Leroy
    (1987, Robust Regression and Outlier Detection, section 5.2).
    """
    return float(np.sqrt(np.sum(fit.residuals**2) / max(fit.free, 1.0)))


def _forward(values: Numbers, base: Numbers, penalty: Numbers, candidates: Candidates, floor: float) -> list[int]:
    count = len(values)
    # Takes out of a column what the effects so far explain of it; one more effect changes it by rank one.
    remainder = np.eye(count) - base @ _inverse(base, penalty) @ base.T
    chosen: list[int] = []
    while len(chosen) < max(1, int(_LARGEST_SHARE * count)):
        residuals = remainder @ values
        free = float(np.trace(remainder))
        if free < _FEWEST_FREE:
            break
        ordinary = np.delete(residuals, [place for place in chosen if place < count])
        sigma = max(mad_sigma(ordinary, lost=len(ordinary) - free), floor)
        left = remainder @ candidates.columns
        information = np.einsum("ij,ij->j", candidates.columns, left)
        usable = candidates.allowed & (information > _LEAST_INFORMATION)
        usable[chosen] = False
        strength = np.zeros(len(usable))
        strength[usable] = np.abs(candidates.columns.T[usable] @ residuals) / np.sqrt(information[usable])
        strongest = int(np.argmax(strength))
        if strength[strongest] < ENTERS * sigma:
            break
        chosen.append(strongest)
        column = left[:, strongest]
        remainder -= np.outer(column, column) / information[strongest]
    return chosen


def _inverse(design: Numbers, penalty: Numbers) -> Numbers:
    """Inverse of the penalized cross products; the pull of `_SINGULAR` decides what the months do not."""
    return np.asarray(np.linalg.inv(design.T @ design + np.diag(penalty + _SINGULAR)), dtype=np.float64)
