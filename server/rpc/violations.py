"""Violations of the rules in the contract, as the domain's errors name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import FieldViolation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protovalidate import FieldPathPb, Violation


def field_violations(violations: Iterable[Violation]) -> list[FieldViolation]:
    """Translate what protovalidate found: the path of the field, what is allowed, the id of the rule."""
    return [_field_violation(violation) for violation in violations]


def _field_violation(violation: Violation) -> FieldViolation:
    found = violation.proto
    return FieldViolation(_path(found.field), found.message or "breaks its rule", found.rule_id)


def _path(field: FieldPathPb | None) -> str:
    """`predictions[3].turnover.employee_key`, `details["x"]`; empty for a rule of the whole message."""
    if field is None:
        return ""
    steps = []
    for element in field.elements:
        subscript = element.subscript
        if subscript is None:
            steps.append(element.field_name)
        else:
            value = f'"{subscript.value}"' if isinstance(subscript.value, str) else str(subscript.value).lower()
            steps.append(f"{element.field_name}[{value}]")
    return ".".join(steps)
