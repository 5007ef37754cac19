from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analytics.v1 import employees_pb2
from buf.validate import validate_pb2

from server.ml.features import MAX_TEXT, FeatureKind, FeatureSpec
from server.ml.turnover import TURNOVER

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

REQUIRED = {"department", "job_role", "monthly_income", "years_at_company"}


def of_contract(field: FieldDescriptor) -> FeatureSpec:
    """The feature that a field of the contract describes."""
    required = field.name in REQUIRED
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.type == field.TYPE_DOUBLE:
        return FeatureSpec(field.name, FeatureKind.NUMBER, required, rules.double.gte, rules.double.lte)
    if field.type == field.TYPE_INT32:
        return FeatureSpec(field.name, FeatureKind.INTEGER, required, rules.int32.gte, rules.int32.lte)
    if field.type == field.TYPE_BOOL:
        return FeatureSpec(field.name, FeatureKind.BOOLEAN, required)
    if field.enum_type is not None:
        prefix = f"{field.name}_".upper()
        names = [value.name.removeprefix(prefix).lower() for value in field.enum_type.values if value.number]
        return FeatureSpec(field.name, FeatureKind.CATEGORY, required, values=tuple(names))
    assert field.type == field.TYPE_STRING
    assert (rules.string.min_len, rules.string.max_len) == (1, MAX_TEXT)
    return FeatureSpec(field.name, FeatureKind.CATEGORY, required)


def described() -> dict[str, FeatureSpec]:
    return {field.name: of_contract(field) for field in employees_pb2.EmployeeAttributes.DESCRIPTOR.fields}


def test_the_features_are_those_of_the_contract_with_its_kinds_and_ranges() -> None:
    assert {feature.name: feature for feature in TURNOVER.features} == described()


def test_control_a_range_that_differs_from_the_contract_is_seen() -> None:
    assert replace(described()["job_level"], maximum=11.0) not in TURNOVER.features
    assert described()["job_level"] in TURNOVER.features
