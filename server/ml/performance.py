"""The features of performance prediction: whether the next result stays below its target.

What is known of the employee, of the work, of the target, and of the reviews before. Left out of the employee are
`performance_rating`, which is the result itself, and `salary_hike_percent`, which is often set after it. A test compares names
and ranges with the contract.
"""

from __future__ import annotations

from dataclasses import replace

from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema
from server.ml.turnover import TURNOVER

LEAKING = frozenset({"performance_rating", "salary_hike_percent"})
"""Attributes of an employee that may be set by the review, or after it."""

LARGEST = 1e6
"""Of a result and of a target."""


def _number(name: str, most: float, *, required: bool = False) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.NUMBER, required, 0.0, most)


def _count(name: str, most: float) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.INTEGER, minimum=0.0, maximum=most)


WORK = (
    _number("standard_minutes", 1e6),
    _number("work_in_progress", 1e9),
    _number("overtime_minutes", 1e6),
    _number("incentive", 1e9),
    _number("idle_minutes", 1e6),
    _count("idle_people", 100_000.0),
    _count("changes", 1000.0),
    _number("people", 100_000.0),
)
"""The fields of `WorkMeasures`."""

PERFORMANCE = FeatureSchema(
    (
        _number("target", LARGEST, required=True),
        _number("previous_ratio", LARGEST),
        _count("earlier_reviews", 100_000.0),
        _number("months_since_review", 1200.0),
        *WORK,
        *(replace(feature, required=False) for feature in TURNOVER.features if feature.name not in LEAKING),
    )
)
"""Schema of the shared model type `performance_prediction`.

`target` is a share of the scale's highest result where that is known, else as it is; `previous_ratio` is the result of the last
review over its target, `months_since_review` the whole months since then.
"""


def scaled(target: float, scale_max: float | None) -> float:
    """The feature `target`."""
    return target / scale_max if scale_max else target


def ratio(score: float, target: float | None) -> float | None:
    """The feature `previous_ratio`: None when nothing was expected; capped."""
    return min(score / target, LARGEST) if target else None
