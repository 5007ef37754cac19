"""The features of a spend forecast: the last three years of one monthly series, by their distance from the last known month.

`amount_1` is the amount of the last month, `amount_36` that of the month 35 months before; `budget_1` to `budget_12` are the plans
of the same months, `plan_1` to `plan_12` those of the months to come. The forecaster looks at nothing else, so two inputs with the
same features are the same input. A month is a whole number, `year * 12 + month - 1`. Imports the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.ml.features import FeatureValue

YEAR = 12
MONTHS = 36
LARGEST = 1e15
ENOUGH = 6
"""Months with an amount that a forecast needs."""


def _integer(name: str, low: float, high: float, *, required: bool = False) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.INTEGER, required, low, high)


def _amounts(name: str, count: int, least: float) -> tuple[FeatureSpec, ...]:
    return tuple(FeatureSpec(f"{name}_{place}", FeatureKind.NUMBER, False, least, LARGEST) for place in range(1, count + 1))  # noqa: FBT003 - the field is `required`


SPEND = FeatureSchema(
    (
        _integer("last_year", 1950.0, 2100.0, required=True),
        _integer("last_month", 1.0, 12.0, required=True),
        _integer("horizon", 1.0, 12.0, required=True),
        FeatureSpec("category", FeatureKind.CATEGORY),
        *_amounts("amount", MONTHS, -LARGEST),
        *_amounts("budget", YEAR, 0.0),
        *_amounts("plan", YEAR, 0.0),
    )
)
"""Schema of the shared model type `spend_forecasting`."""


def history_features(amounts: Mapping[int, float], budgets: Mapping[int, float]) -> dict[str, FeatureValue]:
    """The features of a series by month; none when it has no amount. What is older than three years is left out."""
    if not amounts:
        return {}
    last = max(amounts)
    found: dict[str, FeatureValue] = {"last_year": last // YEAR, "last_month": last % YEAR + 1}
    for back in range(MONTHS):
        if last - back in amounts:
            found[f"amount_{back + 1}"] = amounts[last - back]
    for place in range(1, YEAR + 1):
        if last + 1 - place in budgets:
            found[f"budget_{place}"] = budgets[last + 1 - place]
        if last + place in budgets:
            found[f"plan_{place}"] = budgets[last + place]
    return found


def shortage(features: Mapping[str, FeatureValue]) -> str:
    """What a clean input lacks for a forecast, beyond its schema; empty when nothing."""
    if "amount_1" not in features:
        return "is required: it is the amount of the last month"
    known = sum(f"amount_{back}" in features for back in range(1, MONTHS + 1))
    return "" if known >= ENOUGH else f"is one of {known} months with an amount; a forecast needs at least {ENOUGH} within {MONTHS}"
