"""Which fact sets can be loaded from files: the rows of the contract, and what their descriptors do not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from analytics.v1.contracts_pb2 import Contract
from analytics.v1.employees_pb2 import Employee
from analytics.v1.fact_service_pb2 import FactSet, IngestFactsRequest
from analytics.v1.payroll_pb2 import EmployeeExit, PayrollEntry
from analytics.v1.performance_pb2 import PerformanceReview
from analytics.v1.spend_pb2 import SpendEntry

from server.ctl.fact_fields import ATTRIBUTE_FIELDS, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from server.ctl.values import FieldSpec


@dataclass(frozen=True)
class FactFile:
    """A kind of file.

    Args:
        command: word of `analyticsctl import`.
        noun: what a row is, with its article.
        fact_set: where its rows go.
        row: message of a row.
        key: fields that tell rows apart.
        identity: field that tells subjects apart, and the word for them; such a field is not the same in every row.
        outcome: field that models learn from; empty when there is none.
        one_of: fields of which a file needs at least one, and how they are called together.
        month_end: date field that is the end of last month unless something else is said; empty for none.
        other_names: usual names of columns, normalized, whose meaning leaves no doubt.
        help: what its command says of the file, and an example.

    """

    command: str
    noun: str
    fact_set: FactSet.ValueType
    row: type[Message]
    key: tuple[str, ...]
    identity: tuple[str, str]
    help: str
    outcome: str = ""
    one_of: tuple[frozenset[str], str] = (frozenset(), "")
    month_end: str = ""
    other_names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def fields(self) -> Mapping[str, FieldSpec]:
        """The fields that columns can fill."""
        return fields_of(cast("Descriptor", self.row.DESCRIPTOR))

    @cached_property
    def nested(self) -> frozenset[str]:
        """The messages in a row that hold some of its fields."""
        return frozenset(spec.inside for spec in self.fields.values()) - {""}

    @cached_property
    def place(self) -> tuple[str, str]:
        """Where rows stand in a request: member of the oneof, and its list."""
        return next(
            (member.name, rows.name)
            for member in IngestFactsRequest.DESCRIPTOR.oneofs_by_name["batch"].fields
            for rows in _fields(member)
            if rows.message_type is self.row.DESCRIPTOR
        )


def _fields(member: FieldDescriptor) -> list[FieldDescriptor]:
    return list(member.message_type.fields) if member.message_type is not None else []


_EMPLOYEE = ("employee_key", "employees")
_MONEY = {"currency": "currency_code", "month": "period"}

FACT_FILES: Mapping[str, FactFile] = {
    each.command: each
    for each in (
        FactFile(
            "employees",
            "an employee",
            FactSet.FACT_SET_EMPLOYEES,
            Employee,
            ("employee_key", "as_of"),
            _EMPLOYEE,
            outcome="left_within_year",
            one_of=(frozenset(ATTRIBUTE_FIELDS), "an attribute of the employee"),
            month_end="as_of",
            # Of exports of HR systems.
            other_names={
                "education": "education_level",
                "numcompaniesworked": "companies_worked",
                "percentsalaryhike": "salary_hike_percent",
                "trainingtimeslastyear": "trainings_last_year",
                "yearssincelastpromotion": "years_since_promotion",
                "yearswithcurrmanager": "years_with_manager",
                "yearswithcurrentmanager": "years_with_manager",
            },
            help="""Load employees from a CSV file: one row per employee and date.

            as_of is the end of last month unless a column or --set says otherwise. left_within_year is what turnover
            models learn.

            Example: analyticsctl import employees hr.csv --map employee_key=EmployeeNumber
            --map left_within_year=Attrition:Yes=true,No=false --set as_of=2026-01-31""",
        ),
        FactFile(
            "exits",
            "an exit",
            FactSet.FACT_SET_EMPLOYEE_EXITS,
            EmployeeExit,
            ("employee_key", "exit_date"),
            _EMPLOYEE,
            help="""Load from a CSV file who left: one row per employee and last day.

            Example: analyticsctl import exits leavers.csv --map employee_key=Id --map kind=Reason:resigned=voluntary""",
        ),
        FactFile(
            "payroll",
            "a payroll entry",
            FactSet.FACT_SET_PAYROLL_ENTRIES,
            PayrollEntry,
            ("employee_key", "period", "cost_centre", "pay_type"),
            _EMPLOYEE,
            other_names={**_MONEY, "costcenter": "cost_centre", "grosspay": "gross_amount"},
            help="""Load pay from a CSV file: one row per employee, month, cost centre and type of pay.

            Months are written 2026-01, or as a day in them. A row of a month that is there already replaces it.

            Example: analyticsctl import payroll pay.csv --set pay_type=base --set currency_code=EUR""",
        ),
        FactFile(
            "contracts",
            "a contract",
            FactSet.FACT_SET_CONTRACTS,
            Contract,
            ("contract_key",),
            ("contract_key", "contracts"),
            outcome="outcome",
            other_names={"currency": "currency_code"},
            help="""Load contracts from a CSV file: one row per contract, in its present state.

            outcome is what risk models learn: renewed, completed, lapsed, terminated, changed, disputed.

            Example: analyticsctl import contracts contracts.csv --map contract_key=Id --map outcome=Churn:Yes=lapsed,No=renewed
            --set status=ended --set currency_code=USD""",
        ),
        FactFile(
            "spend",
            "a spend entry",
            FactSet.FACT_SET_SPEND_ENTRIES,
            SpendEntry,
            ("unit", "category", "period"),
            ("", ""),
            one_of=(frozenset({"amount", "budget"}), "an amount or a budget"),
            other_names=_MONEY,
            help="""Load spend and budgets from a CSV file: one row per unit, category and month.

            Months are written 2026-01, or as a day in them. A month to come carries a budget only.

            Example: analyticsctl import spend spend.csv --map unit=Department --set category=all --set currency_code=GBP""",
        ),
        FactFile(
            "reviews",
            "a review",
            FactSet.FACT_SET_PERFORMANCE_REVIEWS,
            PerformanceReview,
            ("employee_key", "review_date"),
            _EMPLOYEE,
            outcome="target",
            help="""Load reviews from a CSV file: one row per employee, or team under a key of its own, and day.

            target is what was expected; performance models learn whether score reached it.

            Example: analyticsctl import reviews reviews.csv --map score=Rating --set target=3 --set review_date=2026-01-31""",
        ),
    )
}
"""By the word of `analyticsctl import`."""

EMPLOYEES = FACT_FILES["employees"]
