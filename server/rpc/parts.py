"""How many parts a message may have: a few hundred kilobytes of empty ones would otherwise cost seconds and a gigabyte to check.

Counted are submessages and the items of lists and maps, before anything looks at what is in them; the rows of a bulk message
even before it is parsed, for millions of empty ones would cost a gigabyte there already.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from server.errors import AnalyticsError, FieldViolation, Kind, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Wire types, https://protobuf.dev/programming-guides/encoding/#structure, and the sizes of those that are fixed.
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}
_VARINT_BITS = 70
_CONTINUES = 0x80


def check_parts(message: Message, most: int) -> None:
    """Refuse a message of more than `most` parts.

    A list at the top of the request is left to its own rule, which says so more precisely; its items count all the same.

    Raises:
        AnalyticsError: VALIDATION_FAILED, or BATCH_TOO_LARGE when one list alone has too many items.

    """
    left = most
    todo: list[Message] = [message]
    while todo:
        part = todo.pop()
        for field, value in part.ListFields():
            if field.is_repeated:
                left -= len(value)
                if left < 0:
                    raise _too_many(most, field.name, batch=part is message)
                todo.extend(_messages_in(value))
            elif field.message_type is not None:
                left -= 1
                todo.append(value)
        if left < 0:
            raise _too_many(most)


def check_rows(raw: bytes, most: int) -> None:
    """Refuse a serialized message that has, with its submessages, more than `most` entries, before it is parsed.

    Bytes that are no message are left to the parser.

    Raises:
        AnalyticsError: BATCH_TOO_LARGE.

    """
    left = most
    for start, end, kind in _entries(raw, 0, len(raw)):
        left -= 1
        if kind == _LENGTH_DELIMITED:
            left -= sum(1 for _ in islice(_entries(raw, start, end), left + 1))
        if left < 0:
            raise _too_many(most, batch=True)


def _entries(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the entries of a serialized message: where the value begins and ends, and its wire type."""
    place = start
    while place < end:
        tag, place = _varint(raw, place, end)
        kind, value = tag & 7, place
        if kind == _LENGTH_DELIMITED:
            length, value = _varint(raw, place, end)
            place = value + length
        elif kind == _VARINT:
            _, place = _varint(raw, place, end)
        else:
            # The marks of a group have no value of their own; what stands between them counts as entries too.
            place += _FIXED.get(kind, 0)
        yield value, min(place, end), kind


def _varint(raw: bytes, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end:
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < _CONTINUES:
            return value, place
        if shift >= _VARINT_BITS:
            break
    return value, end


def _messages_in(value: Iterable[object]) -> list[Message]:
    items = value.values() if hasattr(value, "values") else value
    return [item for item in items if isinstance(item, Message)]


def _too_many(most: int, field: str = "", *, batch: bool = False) -> AnalyticsError:
    reason = Reason.BATCH_TOO_LARGE if batch else Reason.VALIDATION_FAILED
    description = f"the request has more than {most:,} parts; send less at once"
    return AnalyticsError(Kind.INVALID_ARGUMENT, reason, description, violations=[FieldViolation(field, description)])
