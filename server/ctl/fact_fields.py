"""The fields a person can give, by the types and rules that the protos state.

What always holds: they come from the descriptors, so a field added to the contract is known here at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from analytics.v1.employees_pb2 import EmployeeAttributes
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.type.date_pb2 import Date

from server.ctl.values import FieldKind, FieldSpec, short_names, spellings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import Descriptor

# What the contract's rules contain, and begin with, where a text is a decimal number.
_AMOUNT, _SIGNED = "[0-9]{1,15}", "^-?"


def fields_of(row: Descriptor, inside: str = "") -> dict[str, FieldSpec]:
    """The fields of a message and of the messages in it, by name; of two with one name that of the message itself."""
    own: dict[str, FieldSpec] = {}
    nested: dict[str, FieldSpec] = {}
    for descriptor in row.fields:
        if descriptor.message_type in (None, Date.DESCRIPTOR):
            own[descriptor.name] = _spec(descriptor, inside)
        else:
            nested |= fields_of(descriptor.message_type, descriptor.name)
    return {**own, **{name: spec for name, spec in nested.items() if name not in own}}


def _spec(descriptor: FieldDescriptor, inside: str) -> FieldSpec:
    required, enum = _is_required(descriptor), descriptor.enum_type
    if enum is None:
        return FieldSpec(descriptor.name, _kind(descriptor), inside, required)
    labels = tuple(name for value, name in sorted(short_names(enum).items()) if value != 0)
    return FieldSpec(descriptor.name, FieldKind.CHOICE, inside, required, spellings(enum), labels)


def _kind(descriptor: FieldDescriptor) -> FieldKind:
    kinds = {
        FieldDescriptor.TYPE_DOUBLE: FieldKind.NUMBER,
        FieldDescriptor.TYPE_INT32: FieldKind.INTEGER,
        FieldDescriptor.TYPE_BOOL: FieldKind.FLAG,
    }
    if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
        # A month is a date whose day does not count; the contract calls it `period` everywhere.
        return FieldKind.MONTH if descriptor.name == "period" else FieldKind.DATE
    if descriptor.type != FieldDescriptor.TYPE_STRING:
        return kinds[descriptor.type]
    pattern = _rules(descriptor).string.pattern
    if _AMOUNT not in pattern:
        return FieldKind.TEXT
    return FieldKind.SIGNED_AMOUNT if pattern.startswith(_SIGNED) else FieldKind.AMOUNT


def _is_required(descriptor: FieldDescriptor) -> bool:
    rules = _rules(descriptor)
    if rules.required or descriptor.has_presence:
        return rules.required
    if descriptor.enum_type is not None:
        return 0 in rules.enum.not_in
    if descriptor.type == FieldDescriptor.TYPE_STRING:
        return rules.string.min_len > 0 or not re.match(rules.string.pattern, "")
    # A number that cannot be absent would be taken for 0.
    return True


def _rules(descriptor: FieldDescriptor) -> validate_pb2.FieldRules:
    return descriptor.GetOptions().Extensions[validate_pb2.field]


ATTRIBUTE_FIELDS: Mapping[str, FieldSpec] = fields_of(EmployeeAttributes.DESCRIPTOR, "attributes")
