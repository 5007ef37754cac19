"""Facts as the CSV file that somebody would import."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from google.type.date_pb2 import Date

from server.ctl.values import short_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message


def write(path: Path, facts: Iterable[Message]) -> Path:
    """Write facts with a column per field; what a fact does not say is an empty cell."""
    found = [dict(_cells(fact)) for fact in facts]
    # In the order of the first fact that says them.
    columns = list(dict.fromkeys(name for cells in found for name in cells))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(found)
    return path


def _cells(fact: Message) -> Iterator[tuple[str, str]]:
    for field, value in fact.ListFields():
        if isinstance(value, Date):
            month = f"{value.year:04}-{value.month:02}"
            yield field.name, month if field.name == "period" else f"{month}-{value.day:02}"
        elif field.message_type is not None:
            yield from _cells(value)
        else:
            yield field.name, _text(field, value)


def _text(field: FieldDescriptor, value: object) -> str:
    if field.enum_type is not None:
        return short_names(field.enum_type)[int(str(value))]
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
