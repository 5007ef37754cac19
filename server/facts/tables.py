"""Tables of facts, and how each fact set is stored in its table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Boolean, Column, Date, DateTime, Double, Index, Integer, Numeric, Table, Text, text

from server.db.naming import tenant_table
from server.facts.model import (
    BOOLEAN_ATTRIBUTES,
    CONTRACT_BOOLEANS,
    CONTRACT_INTEGERS,
    CONTRACT_NUMBERS,
    CONTRACT_TEXTS,
    INTEGER_ATTRIBUTES,
    NUMBER_ATTRIBUTES,
    TEXT_ATTRIBUTES,
    WORK_INTEGERS,
    WORK_NUMBERS,
    FactSet,
    Subject,
)

MONEY = Numeric(19, 4)

ATTRIBUTE_TYPES = (
    dict.fromkeys(TEXT_ATTRIBUTES, Text)
    | dict.fromkeys(BOOLEAN_ATTRIBUTES, Boolean)
    | dict.fromkeys(INTEGER_ATTRIBUTES, Integer)
    | dict.fromkeys(NUMBER_ATTRIBUTES, Double)
)
CONTRACT_TYPES = (
    dict.fromkeys(CONTRACT_TEXTS, Text)
    | dict.fromkeys(CONTRACT_NUMBERS, Double)
    | dict.fromkeys(CONTRACT_INTEGERS, Integer)
    | dict.fromkeys(CONTRACT_BOOLEANS, Boolean)
)
WORK_TYPES = dict.fromkeys(WORK_NUMBERS, Double) | dict.fromkeys(WORK_INTEGERS, Integer)


def _changed() -> Column[object]:
    return Column("updated_at", DateTime(timezone=True), nullable=False)


employees = tenant_table(
    "employees",
    Column("employee_key", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    *(Column(name, type_) for name, type_ in ATTRIBUTE_TYPES.items()),
    Column("left_within_year", Boolean),
    _changed(),
    key=["employee_key", "as_of"],
)

employee_exits = tenant_table(
    "employee_exits",
    Column("employee_key", Text, nullable=False),
    Column("exit_date", Date, nullable=False),
    Column("kind", Text),
    _changed(),
    key=["employee_key", "exit_date"],
)

payroll_entries = tenant_table(
    "payroll_entries",
    Column("employee_key", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("cost_centre", Text, nullable=False),
    Column("pay_type", Text, nullable=False),
    Column("gross_amount", MONEY, nullable=False),
    Column("currency", Text, nullable=False),
    Column("hours", Double),
    _changed(),
    key=["employee_key", "period", "cost_centre", "pay_type"],
)

contracts = tenant_table(
    "contracts",
    Column("contract_key", Text, nullable=False),
    Column("counterparty_key", Text, nullable=False),
    Column("value", MONEY, nullable=False),
    Column("currency", Text, nullable=False),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date),
    Column("status", Text, nullable=False),
    Column("outcome", Text),
    Column("outcome_date", Date),
    *(Column(name, type_) for name, type_ in CONTRACT_TYPES.items()),
    _changed(),
    Index("ix_contracts_counterparty", "org_id", "counterparty_key", postgresql_where=text("counterparty_key <> ''")),
    key=["contract_key"],
)

spend_entries = tenant_table(
    "spend_entries",
    Column("unit", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("amount", MONEY),
    Column("budget", MONEY),
    Column("currency", Text, nullable=False),
    _changed(),
    key=["unit", "category", "period"],
)

performance_reviews = tenant_table(
    "performance_reviews",
    Column("employee_key", Text, nullable=False),
    Column("review_date", Date, nullable=False),
    Column("team", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("target", Double),
    Column("scale_max", Double),
    *(Column(name, type_) for name, type_ in WORK_TYPES.items()),
    _changed(),
    key=["employee_key", "review_date"],
)


@dataclass(frozen=True, slots=True)
class Storage:
    """How a fact set is stored.

    Args:
        table: of the same name.
        counted: column that subjects are counted by.
        outcome: column whose presence says that the outcome is known, which models learn from; None where there is none.
        subjects: what an erasure may name.
        key: columns that tell the rows of an organization apart.
        columns: columns of a row as it is loaded.

    """

    table: Table
    counted: str
    outcome: str | None
    subjects: frozenset[Subject]
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, counted: str, outcome: str | None, subjects: frozenset[Subject]) -> Self:
        """Read from the table what it says itself."""
        key = tuple(column.name for column in table.primary_key if column.name != "org_id")
        columns = tuple(column.name for column in table.c if column.name not in ("org_id", "updated_at"))
        return cls(table, counted, outcome, subjects, key, columns)


_EMPLOYEE = frozenset({Subject.EMPLOYEE})

STORAGES: Mapping[FactSet, Storage] = {
    FactSet.EMPLOYEES: Storage.of(employees, "employee_key", "left_within_year", _EMPLOYEE),
    FactSet.EMPLOYEE_EXITS: Storage.of(employee_exits, "employee_key", "exit_date", _EMPLOYEE),
    FactSet.PAYROLL_ENTRIES: Storage.of(payroll_entries, "employee_key", None, _EMPLOYEE),
    FactSet.CONTRACTS: Storage.of(contracts, "contract_key", "outcome", frozenset({Subject.CONTRACT, Subject.COUNTERPARTY})),
    FactSet.SPEND_ENTRIES: Storage.of(spend_entries, "unit", "amount", frozenset({Subject.UNIT})),
    FactSet.PERFORMANCE_REVIEWS: Storage.of(performance_reviews, "employee_key", "target", _EMPLOYEE),
}
