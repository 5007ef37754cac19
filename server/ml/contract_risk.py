"""The features of contract risk: the fields of `ContractAttributes` under the same names and ranges.

A test compares them with the contract. What follows from a contract's dates is computed where facts are read
(`dated`): the term from its start and agreed end, the tenure from the other side's first contract to the start of
this one. Nothing is taken from the day of the outcome: how long a contract lived would tell how it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from server.ml.features import FeatureValue

DAYS_A_MONTH = 30.4375
_MOST_MONTHS = 1200.0


def _text(name: str) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.CATEGORY)


def _number(name: str, most: float, *, required: bool = False) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.NUMBER, required, 0.0, most)


def _count(name: str, most: float) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.INTEGER, minimum=0.0, maximum=most)


CONTRACT_RISK = FeatureSchema(
    (
        _number("value", 1e15, required=True),
        _text("contract_type"),
        _text("category"),
        _text("pricing"),
        _text("payment_method"),
        _number("monthly_value", 1e13),
        _number("term_months", 1200.0),
        _number("tenure_months", 1200.0),
        _count("notice_days", 3650.0),
        FeatureSpec("auto_renew", FeatureKind.BOOLEAN),
        _count("offers_received", 10_000.0),
        FeatureSpec("competed", FeatureKind.BOOLEAN),
        _count("services", 1000.0),
        FeatureSpec("support_included", FeatureKind.BOOLEAN),
        _count("amendments", 10_000.0),
        _count("disputes", 10_000.0),
        _count("late_payments", 10_000.0),
    )
)
"""Schema of the shared model type `contract_risk`."""


def dated(attributes: Mapping[str, FeatureValue], start: date, end: date | None, first_start: date | None) -> dict[str, FeatureValue]:
    """Return the features of a contract: its attributes, and what follows from its dates where the attributes do not say.

    Args:
        attributes: under the names of the schema, absent ones left out.
        start: first day.
        end: agreed last day; None for an open end.
        first_start: first day of the first contract with the same other side; None where that is not named.

    """
    features = dict(attributes)
    if end is not None:
        features.setdefault("term_months", months_between(start, end))
    if first_start is not None:
        features.setdefault("tenure_months", months_between(first_start, start))
    return features


def months_between(begin: date, end: date) -> float:
    """Mean months from one day to another, 0 to 1,200."""
    return min(max((end - begin).days / DAYS_A_MONTH, 0.0), _MOST_MONTHS)
