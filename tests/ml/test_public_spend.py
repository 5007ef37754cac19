"""How good forecasts are on published monthly spend, each month forecast by trees that had seen only older ones."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.ml.forecasting import train_forecaster
from server.ml.intervals import LONG_HISTORY
from server.ml.series import Panel, Series, month_number
from tests.support import public_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from analytics.v1.spend_pb2 import SpendEntry

SEED = 0
SETS: dict[str, tuple[Callable[[], Iterable[SpendEntry]], int, int]] = {
    "public bodies": (public_data.public_spend, 17, 16),
    "council units": (public_data.council_spend, 155, 67),
}
BAND = (0.74, 0.86)
"""Where the share of outcomes in an 80 % interval may lie. Months of one year go together, so 3 to 8 held-out years and not
thousands of points say how far chance moves it."""


def panel(entries: Iterable[SpendEntry]) -> Panel:
    """Months of each unit, all its categories together."""
    amounts: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for entry in entries:
        amounts[entry.unit][month_number(entry.period.year, entry.period.month)] += float(entry.amount)
    return Panel.of([Series.of(unit, list(months), list(months.values())) for unit, months in sorted(amounts.items())])


@pytest.mark.parametrize("name", SETS)
def test_published_spend_is_forecast_better_than_by_last_year_and_intervals_hold_what_they_promise(name: str) -> None:
    entries, series, long = SETS[name]
    spend = panel(entries())
    present = np.sum(~np.isnan(spend.values), axis=1)
    assert (len(spend.series), int(np.sum(present >= LONG_HISTORY))) == (series, long)
    metrics = train_forecaster(spend, seed=SEED).metrics
    print(
        f"\n{name:14s} judged {metrics.series} series, {metrics.points} points\n"
        f"  ours   MASE median {metrics.mase_median:.3f} mean {metrics.mase_mean:.3f}  WAPE {metrics.wape:.3f}  "
        f"coverage {metrics.coverage:.3f}  width {metrics.width:.2f}\n"
        f"  naive  MASE median {metrics.naive_mase_median:.3f} mean {metrics.naive_mase_mean:.3f}  WAPE {metrics.naive_wape:.3f}  "
        f"coverage {metrics.naive_coverage:.3f}  width {metrics.naive_width:.2f}\n"
        f"  error over that of the naive forecast, median {metrics.relative_error_median:.3f}; smaller for {metrics.better_share:.0%}"
    )
    assert metrics.mase_median < 1
    assert metrics.mase_mean < metrics.naive_mase_mean
    assert metrics.relative_error_median < 0.9
    assert metrics.better_share > 0.7
    assert metrics.wape < metrics.naive_wape
    assert BAND[0] < metrics.coverage < BAND[1]
    # The control: the interval of last year's errors promises as much, and the band tells that it does not hold.
    assert not BAND[0] < metrics.naive_coverage < BAND[1]
