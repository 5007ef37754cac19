"""Employees as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import employees_pb2

from server.facts.model import Employee
from server.wire.facts import day

if TYPE_CHECKING:
    from server.facts.model import AttributeValue

_TRAVEL = {
    employees_pb2.BUSINESS_TRAVEL_NONE: "none",
    employees_pb2.BUSINESS_TRAVEL_RARELY: "rarely",
    employees_pb2.BUSINESS_TRAVEL_FREQUENTLY: "frequently",
}


def attributes(message: employees_pb2.EmployeeAttributes) -> dict[str, AttributeValue]:
    """Return the attributes that are present, by the name of their field."""
    present: dict[str, AttributeValue] = {}
    for field, value in message.ListFields():
        if field.name == "business_travel":
            if value:  # An unspecified one may be said all the same, and counts as absent.
                present[field.name] = _TRAVEL[value]
        else:
            present[field.name] = value
    return present


def employee(message: employees_pb2.Employee) -> Employee:
    """Return the row of a valid message."""
    return Employee(
        employee_key=message.employee_key,
        as_of=day(message.as_of, "as_of"),
        attributes=attributes(message.attributes),
        left_within_year=message.left_within_year if message.HasField("left_within_year") else None,
    )
