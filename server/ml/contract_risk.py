"""The features of contract risk: the fields of `ContractAttributes` under the same names and ranges.

A test compares them with the contract. What follows from a contract's dates is computed where facts are read
(`months_between`): the term from its start and agreed end, the tenure from the other side's first contract to the start of
this one. Nothing is taken from the day of the outcome: how long a contract lived would tell how it ended.
"""

from __future__ import annotations

from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema


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
