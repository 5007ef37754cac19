"""Made-up monthly spend with a known truth, and one small model of it, trained once per test process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from server.ml.forecaster import Forecaster
from server.ml.forecasting import TrainedForecaster, train_forecaster
from server.ml.series import Panel, Series, month_number

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = month_number(2015, 1)
NOISE = 0.1


def seasonal(count: int = 40, months: int = 72, *, noise: float = NOISE, seed: int = 0) -> Panel:
    """Series with a yearly season of their own and independent noise, `noise` times their level; levels of all sizes."""
    generator = np.random.default_rng(seed)
    time = np.arange(months)
    made: list[Series] = []
    for number in range(count):
        level = np.exp(generator.normal(8, 2))
        season = 0.4 * np.sin(2 * np.pi * (time + generator.integers(12)) / 12)
        values = level * (1 + season + noise * generator.normal(size=months))
        made.append(Series.of(f"series {number}", (FIRST + time).tolist(), values.tolist()))
    return Panel.of(made)


@cache
def small() -> tuple[Panel, TrainedForecaster]:
    """40 series of six years and the model of them."""
    panel = seasonal()
    return panel, train_forecaster(panel, seed=7)


@cache
def forecaster() -> Forecaster:
    """The same model, as it is loaded."""
    _, model = small()
    return Forecaster.load(model.artifact, model.card)


def series(values: Sequence[float | None], *, key: str = "history", first: int = FIRST) -> Series:
    """A series of successive months; None is a gap."""
    return Series.of(key, list(range(first, first + len(values))), values)
