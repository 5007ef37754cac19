"""How many parts a message may have: a few hundred kilobytes of empty ones would otherwise cost seconds and a gigabyte to check.

Counted are submessages and the items of lists and maps, before anything looks at what is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import Message

from server.errors import AnalyticsError, FieldViolation, Kind, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable


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


def _messages_in(value: Iterable[object]) -> list[Message]:
    items = value.values() if hasattr(value, "values") else value
    return [item for item in items if isinstance(item, Message)]


def _too_many(most: int, field: str = "", *, batch: bool = False) -> AnalyticsError:
    reason = Reason.BATCH_TOO_LARGE if batch else Reason.VALIDATION_FAILED
    description = f"the request has more than {most:,} parts; send less at once"
    return AnalyticsError(Kind.INVALID_ARGUMENT, reason, description, violations=[FieldViolation(field, description)])
