"""Violations of the rules in the contract, as the domain's errors name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from server.errors import FieldViolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from protovalidate import FieldPathPb, Violation


def field_violations(violations: Iterable[Violation]) -> list[FieldViolation]:
    """Translate what protovalidate found: the path of the field, what is allowed, the id of the rule."""
    return [_field_violation(violation) for violation in violations]


def unstorable_texts(message: Message, within: str = "") -> Iterator[FieldViolation]:
    """Yield every text that holds U+0000: PostgreSQL stores none, and no rule of the contract should have to say so."""
    for field, value in message.ListFields():
        path = f"{within}{field.name}"
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner, place in _each(value, field, path):
                if isinstance(inner, str):
                    yield from _unstorable(inner, place)
                else:
                    yield from unstorable_texts(inner, f"{place}.")
        elif field.type == FieldDescriptor.TYPE_STRING:
            for number, text in enumerate(value if field.is_repeated else [value]):
                yield from _unstorable(text, f"{path}[{number}]" if field.is_repeated else path)


def _each(value: Any, field: FieldDescriptor, path: str) -> Iterator[tuple[Any, str]]:
    """Yield the messages (or texts) in a field of messages, with their paths; keys of a map are texts too."""
    if field.message_type.GetOptions().map_entry:
        for key, inner in value.items():
            place = f'{path}["{key}"]'
            yield from ((part, place) for part in (key, inner) if isinstance(part, str | Message))
    elif field.is_repeated:
        yield from ((inner, f"{path}[{number}]") for number, inner in enumerate(value))
    else:
        yield value, path


def _unstorable(text: str, path: str) -> Iterator[FieldViolation]:
    if "\x00" in text:
        yield FieldViolation(path.replace("\x00", "?"), "must not contain the character U+0000")


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
