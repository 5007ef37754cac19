"""Rows of a file -> checked facts, packed into the batches that are sent.

What always holds: a row is packed only when it was read without doubt and the contract's own rules accept it, so what is
sent is exactly what was checked. Valid rows are kept packed, about 0.3 kB each, instead of reading the file twice: a file
that changes meanwhile, or standard input, can then not differ between check and sending.
"""

from __future__ import annotations

import datetime
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analytics.v1.fact_service_pb2 import IngestFactsRequest
from google.type.date_pb2 import Date

from server.ctl.csv_rows import Problem, Row
from server.ctl.values import Unreadable, Value, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message
    from protovalidate import Validator

    from server.ctl.fact_files import FactFile
    from server.ctl.mapping import ColumnRule, ConstantRule, Plan

BATCH_ROWS = 2000
PROBLEMS_KEPT = 50


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """One message of IngestFacts, serialized, and the line of the file each of its rows came from."""

    payload: bytes
    lines: array[int]


@dataclass(slots=True)
class Checked:
    """What a file holds: valid rows in batches, and the first 50 problems of the bad ones."""

    batches: list[PackedBatch] = field(default_factory=list)
    valid_rows: int = 0
    bad_rows: int = 0
    problems: list[Problem] = field(default_factory=list)

    def reject(self, problems: list[Problem]) -> None:
        """Count one bad row."""
        self.bad_rows += 1
        self.problems += problems[: max(0, PROBLEMS_KEPT - len(self.problems))]


class Packer:
    """Collects valid facts of one kind into batches of at most 2,000."""

    def __init__(self, into: Checked, kind: FactFile) -> None:
        """Add the batches to `into`."""
        self._into = into
        self._member, self._list = kind.place
        self._request = IngestFactsRequest()
        self._lines: array[int] = array("q")

    def add(self, fact: Message, line: int) -> None:
        """Pack one valid fact."""
        getattr(getattr(self._request, self._member), self._list).append(fact)
        self._lines.append(line)
        self._into.valid_rows += 1
        if len(self._lines) == BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Close the batch that is being filled."""
        if self._lines:
            self._into.batches.append(PackedBatch(self._request.SerializeToString(), self._lines))
            self._request, self._lines = IngestFactsRequest(), array("q")


def check(rows: Iterator[Row | Problem], plan: Plan) -> Checked:
    """Read and check all rows.

    The check is that of the contract (protovalidate), plus: a second row with the same natural key is bad.

    Raises:
        BadInput: the file turned out to be unreadable further down.

    """
    # Costs 0.07 s of start, which no other command needs.
    from protovalidate import Validator  # noqa: PLC0415

    checked, validator = Checked(), Validator()
    packer = Packer(checked, plan.kind)
    first_lines: dict[tuple[object, ...], int] = {}
    for row in rows:
        if isinstance(row, Problem):
            checked.reject([row])
            continue
        fact, problems = build(row, plan)
        if not problems:
            problems = _violations(validator, fact, row.line, plan.kind)
        if not problems:
            first = first_lines.setdefault(_key(fact, plan.kind), row.line)
            if first != row.line:
                key = plan.kind.key
                problems = [Problem(row.line, key[0], f"the same {listed(key)} as in line {first}")]
        if problems:
            checked.reject(problems)
        else:
            packer.add(fact, row.line)
    packer.flush()
    return checked


def build(row: Row, plan: Plan) -> tuple[Message, list[Problem]]:
    """The fact of a row, and what could not be read."""
    fact, problems = plan.kind.row(), []
    for name in plan.kind.nested:
        # Present even when all in it is unknown: the contract may require the message.
        getattr(fact, name).SetInParent()
    for constant in plan.constants:
        assign(fact, constant, constant.value)
    for rule in plan.columns:
        text = row.cells[rule.index]
        if rule.translation:
            text = rule.translation.get(text.strip().lower(), text)
        try:
            value = read(rule.spec, text)
        except Unreadable as error:
            problems.append(Problem(row.line, rule.spec.name, str(error)))
            continue
        if value is not None:
            assign(fact, rule, value)
        elif rule.spec.required:
            problems.append(Problem(row.line, rule.spec.name, "is empty"))
    return fact, problems


def assign(fact: Message, rule: ColumnRule | ConstantRule, value: Value) -> None:
    """Put a value into its field."""
    holder = getattr(fact, rule.spec.inside) if rule.spec.inside else fact
    if isinstance(value, datetime.date):
        date = getattr(holder, rule.spec.name)
        date.year, date.month, date.day = value.year, value.month, value.day
    else:
        setattr(holder, rule.spec.name, value)


def listed(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _key(fact: Message, kind: FactFile) -> tuple[object, ...]:
    values = (getattr(fact, name) for name in kind.key)
    # Months are read as their first day, so that two days of one month are one key.
    return tuple((value.year * 100 + value.month) * 100 + value.day if isinstance(value, Date) else value for value in values)


def _violations(validator: Validator, fact: Message, line: int, kind: FactFile) -> list[Problem]:
    problems = []
    for violation in validator.collect_violations(fact):
        path = violation.proto.field
        names = [element.field_name for element in path.elements] if path is not None else []
        problems.append(Problem(line, ".".join(name for name in names if name and name not in kind.nested), violation.proto.message))
    return problems
