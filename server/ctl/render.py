"""Answers and failures as tables for people and as JSON for scripts.

What always holds: answers go to standard output, everything else to standard error; text of a server or a file cannot
steer the terminal (no markup, no control characters).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.ctl.failures import CtlFailure, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from server.ctl.failures import Refusal

# Wide enough for a UUID and its neighbours where no terminal says how wide it is.
_WIDTH_WITHOUT_TERMINAL = 200


def console(*, stderr: bool = False) -> Console:
    """The terminal as it is now (tests and pipes exchange the streams, so it is never kept)."""
    terminal = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return terminal if terminal.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=_WIDTH_WITHOUT_TERMINAL)


def plain(value: object) -> str:
    """Text without control characters; they are shown as escapes."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(value))


def say(text: str, *, stderr: bool = False, style: str = "") -> None:
    """Print one line as it is."""
    console(stderr=stderr).print(Text(plain(text), style=style))


def note(text: str) -> None:
    """Print one line that is not the answer: to standard error."""
    say(text, stderr=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, stderr: bool = False) -> None:
    """Print a table, or `none`; a column whose name ends in `#` is numeric and aligned right."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        numeric = column.endswith("#")
        table.add_column(column.removesuffix("#").strip(), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    if table.row_count:
        console(stderr=stderr).print(table)
    else:
        say("none", stderr=stderr)


def print_facts(title: str, facts: Iterable[tuple[str, object]]) -> None:
    """Print name and value, a line each; empty values are left out."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        if value not in ("", None):
            table.add_row(Text(plain(name)), Text(plain(value)))
    console().print(table)


def as_dict(message: Message) -> dict[str, object]:
    """Proto JSON with the names of the contract; fields without presence are there even when they are zero."""
    content: dict[str, object] = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return content


def print_json(content: Message | dict[str, object], *, stderr: bool = False, one_line: bool = False) -> None:
    """Print one JSON document; on one line where several follow each other."""
    document = content if isinstance(content, dict) else as_dict(content)
    console(stderr=stderr).print(Text(json.dumps(document, indent=None if one_line else 2, ensure_ascii=True)))


def when(timestamp: Timestamp) -> str:
    """An instant for people, UTC to the second; empty for an absent one."""
    if not timestamp.seconds and not timestamp.nanos:
        return ""
    return timestamp.ToDatetime().strftime("%Y-%m-%d %H:%M:%SZ")


def decimal(value: float) -> str:
    """A share or a score, three decimals."""
    return f"{value:.3f}"


def refusal_lines(refusal: Refusal) -> list[str]:
    """A refusal in lines: what, which fields, when to try again, and the id to ask about."""
    lines = [f"{refusal.reason or refusal.code}: {refusal.message}"]
    lines += [f"  {field}: {description}" for field, description in refusal.violations]
    if refusal.resource_name:
        lines.append(f"  {refusal.resource_type or 'resource'}: {refusal.resource_name}")
    lines += [f"  {name}: {value}" for name, value in sorted(refusal.metadata.items())]
    if refusal.retry_after is not None:
        lines.append(f"  try again in {refusal.retry_after:g} s")
    if refusal.request_id:
        lines.append(f"  request id: {refusal.request_id}")
    return lines


def refusal_dict(refusal: Refusal) -> dict[str, object]:
    """A refusal for scripts."""
    content: dict[str, object] = {"code": refusal.code, "reason": refusal.reason, "message": refusal.message}
    if refusal.violations:
        content["violations"] = [{"field": field, "description": description} for field, description in refusal.violations]
    if refusal.resource_name:
        content["resource"] = {"type": refusal.resource_type, "name": refusal.resource_name}
    if refusal.retry_after is not None:
        content["retry_after_seconds"] = refusal.retry_after
    if refusal.metadata:
        content["metadata"] = dict(refusal.metadata)
    if refusal.request_id:
        content["request_id"] = refusal.request_id
    return content


def print_failure(failure: CtlFailure, *, json_output: bool) -> None:
    """Print why a command failed, to standard error."""
    if json_output:
        content: dict[str, object] = {"message": failure.message}
        if isinstance(failure, Refused):
            content = refusal_dict(failure.refusal)
        if failure.hint:
            content["hint"] = failure.hint
        content["exit_code"] = int(failure.exit_code)
        print_json({"error": content}, stderr=True)
        return
    lines = refusal_lines(failure.refusal) if isinstance(failure, Refused) else [failure.message]
    say(f"error: {lines[0]}", stderr=True, style="red")
    for line in lines[1:]:
        note(line)
    if failure.hint:
        note(f"  {failure.hint}")
