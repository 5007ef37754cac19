"""Clean features of a spend forecast as the series that the forecaster reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.ml.series import Series
from server.ml.spend import MONTHS, YEAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.ml.features import FeatureValue


def series_of(features: Mapping[str, FeatureValue]) -> Series:
    """Return the series.

    Raises:
        ValueError: a feature is missing, or the series has no amount.

    """
    try:
        last = int(features["last_year"]) * YEAR + int(features["last_month"]) - 1
    except KeyError:
        msg = "a series has a last month"
        raise ValueError(msg) from None
    amounts = {last + 1 - back: _number(features, f"amount_{back}") for back in range(1, MONTHS + 1)}
    budgets = {last + 1 - back: _number(features, f"budget_{back}") for back in range(1, YEAR + 1)}
    budgets |= {last + ahead: _number(features, f"plan_{ahead}") for ahead in range(1, YEAR + 1)}
    plan = {month: value for month, value in budgets.items() if value is not None}
    category = features.get("category")
    return Series.of("asked for", list(amounts), list(amounts.values()), budget=plan, category=None if category is None else str(category))


def _number(features: Mapping[str, FeatureValue], name: str) -> float | None:
    value = features.get(name)
    return None if value is None else float(value)
