"""Made-up monthly payroll series whose jumps are known: spikes, drops and level shifts on season, trend, noise and gaps.

A jump is labelled when its planted size is over 4 robust sigmas of the noise (1.4826 x MAD of the noise that was drawn).
Months after a level shift are not labelled again: only its first month is the jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

LABELLED = 4.0
"""Robust sigmas over which a planted jump is labelled."""

LARGEST = 14.0
APART = 3
"""Months between two planted jumps: one right beside another is the same event going on, which is judged once."""


class Season(StrEnum):
    NONE = "no season"
    WAVE = "wave"
    BONUS = "thirteenth salary"
    PROFILE = "own height for each month"


class Jump(StrEnum):
    SPIKE = "spike"
    DROP = "drop"
    SHIFT_UP = "level shift up"
    SHIFT_DOWN = "level shift down"


@dataclass(frozen=True)
class Labelled:
    """Values of consecutive months (None where missing), the labelled places, and what was put in."""

    values: tuple[float | None, ...]
    jumps: dict[int, Jump]
    season: Season
    sigma: float


def seasonal_part(rng: np.random.Generator, season: Season, sigma: float) -> np.ndarray:
    """What each calendar month adds."""
    months = np.arange(12)
    if season is Season.WAVE:
        return sigma * rng.uniform(1, 5) * np.sin(2 * np.pi * (months + rng.uniform(0, 12)) / 12)
    if season is Season.BONUS:
        bonus = np.zeros(12)
        bonus[rng.integers(12)] = sigma * rng.uniform(8, 30)
        return bonus
    if season is Season.PROFILE:
        return sigma * rng.uniform(1, 3) * rng.standard_normal(12)
    return np.zeros(12)


def one(rng: np.random.Generator, length: int, first_judged: int, *, with_jumps: bool = True) -> Labelled:
    """A series of `length` months with jumps planted from `first_judged` on only."""
    level = 10 ** rng.uniform(4, 7)
    noise = rng.standard_normal(length) * level * rng.uniform(0.004, 0.04)
    sigma = float(1.4826 * np.median(np.abs(noise - np.median(noise))))
    season = Season(rng.choice(list(Season), p=[0.4, 0.25, 0.15, 0.2]))
    slope = sigma * rng.choice([0.0, rng.uniform(-0.3, 0.5)])
    values = level + slope * np.arange(length) + np.resize(seasonal_part(rng, season, sigma), length) + noise
    jumps: dict[int, Jump] = {}
    if with_jumps:
        place = first_judged + int(rng.integers(0, 8))
        while place < length:
            kind = Jump(rng.choice(list(Jump), p=[0.4, 0.2, 0.25, 0.15]))
            size = sigma * rng.uniform(LABELLED, LARGEST) * (1 if kind in {Jump.SPIKE, Jump.SHIFT_UP} else -1)
            if kind in {Jump.SPIKE, Jump.DROP}:
                values[place] += size
            else:
                values[place:] += size
            jumps[place] = kind
            place += APART + int(rng.integers(0, 12))
    gaps = rng.random(length) < rng.choice([0.0, 0.04, 0.1])
    shown = tuple(None if gap and place not in jumps else float(value) for place, (gap, value) in enumerate(zip(gaps, values, strict=True)))
    return Labelled(shown, jumps, season, sigma)


def labelled_set(
    seed: int, count: int, *, with_jumps: bool = True, first_judged: int = 24, length: tuple[int, int] = (36, 60)
) -> list[Labelled]:
    """Seeded series; `length` is the range of their months."""
    rng = np.random.default_rng(seed)
    return [one(rng, int(rng.integers(length[0], length[1] + 1)), first_judged, with_jumps=with_jumps) for _ in range(count)]
