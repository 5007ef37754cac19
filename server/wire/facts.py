"""Facts as messages: each converter takes a message that the contract's rules accept."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from analytics.v1 import contracts_pb2, payroll_pb2
from analytics.v1 import fact_service_pb2 as pb

from server.facts.model import (
    Contract,
    ContractOutcome,
    ContractStatus,
    EmployeeExit,
    Erasure,
    FactSet,
    PayrollEntry,
    PerformanceReview,
    SpendEntry,
    Subject,
)
from server.wire.times import calendar_date

if TYPE_CHECKING:
    from collections.abc import Callable

    from analytics.v1 import performance_pb2, spend_pb2
    from google.protobuf.message import Message
    from google.type.date_pb2 import Date

    from server.facts.model import AttributeValue

Value = TypeVar("Value", bound=int)

YEARS = range(1950, 2101)


class FieldInvalid(ValueError):
    """A field has no value that could be stored; the text says what is wrong."""

    def __init__(self, field: str, description: str) -> None:
        """Name the field."""
        super().__init__(description)
        self.field = field


def fact_set(value: pb.FactSet.ValueType) -> FactSet | None:
    """Return the fact set; None for unspecified."""
    return FactSet(pb.FactSet.Name(value).removeprefix("FACT_SET_").lower()) if value else None


def fact_set_value(kind: FactSet) -> pb.FactSet.ValueType:
    """Return the enum value of a fact set."""
    return pb.FactSet.Value(f"FACT_SET_{kind.name}")


def erasure(request: pb.DeleteFactsRequest) -> Erasure:
    """Return what is to be erased."""
    scope = request.WhichOneof("scope")
    if scope is None or scope == "everything":
        return Erasure(None)
    return Erasure(Subject(scope), getattr(request, scope))


def day(message: Date, field: str) -> date:
    """Return a date of the calendar.

    Raises:
        FieldInvalid: there is no such day, or not in 1950 to 2100.

    """
    if message.year not in YEARS:
        raise FieldInvalid(field, "must lie between 1950-01-01 and 2100-12-31")
    try:
        return calendar_date(message)
    except ValueError:
        raise FieldInvalid(field, "is not a date of the calendar; year, month and day are all needed") from None


def month(message: Date, field: str) -> date:
    """Return the first day of a month, whatever the day says.

    Raises:
        FieldInvalid: there is no such month, or not in 1950 to 2100.

    """
    if message.year not in YEARS:
        raise FieldInvalid(field, "must lie between 1950-01 and 2100-12")
    try:
        return date(message.year, message.month, 1)
    except ValueError:
        raise FieldInvalid(field, "is not a month of the calendar; year and month are needed") from None


def employee_exit(message: payroll_pb2.EmployeeExit) -> EmployeeExit:
    """Return the row of a valid message."""
    return EmployeeExit(
        message.employee_key, day(message.exit_date, "exit_date"), _word(payroll_pb2.ExitKind.Name, "EXIT_KIND_", message.kind)
    )


def payroll_entry(message: payroll_pb2.PayrollEntry) -> PayrollEntry:
    """Return the row of a valid message."""
    return PayrollEntry(
        employee_key=message.employee_key,
        period=month(message.period, "period"),
        cost_centre=message.cost_centre,
        pay_type=_word(payroll_pb2.PayType.Name, "PAY_TYPE_", message.pay_type) or "",
        gross_amount=Decimal(message.gross_amount),
        currency=message.currency_code,
        hours=message.hours if message.HasField("hours") else None,
    )


def contract(message: contracts_pb2.Contract) -> Contract:
    """Return the row of a valid message."""
    status = _word(contracts_pb2.ContractStatus.Name, "CONTRACT_STATUS_", message.status)
    outcome = _word(contracts_pb2.ContractOutcome.Name, "CONTRACT_OUTCOME_", message.outcome)
    return Contract(
        contract_key=message.contract_key,
        counterparty_key=message.counterparty_key,
        value=Decimal(message.value),
        currency=message.currency_code,
        start_date=day(message.start_date, "start_date"),
        end_date=day(message.end_date, "end_date") if message.HasField("end_date") else None,
        status=ContractStatus(status or ""),
        outcome=ContractOutcome(outcome) if outcome else None,
        outcome_date=day(message.outcome_date, "outcome_date") if message.HasField("outcome_date") else None,
        attributes={name: value for name, value in present(message.attributes).items() if name != "value"},
    )


def spend_entry(message: spend_pb2.SpendEntry) -> SpendEntry:
    """Return the row of a valid message."""
    return SpendEntry(
        unit=message.unit,
        category=message.category,
        period=month(message.period, "period"),
        amount=Decimal(message.amount) if message.HasField("amount") else None,
        budget=Decimal(message.budget) if message.HasField("budget") else None,
        currency=message.currency_code,
    )


def performance_review(message: performance_pb2.PerformanceReview) -> PerformanceReview:
    """Return the row of a valid message."""
    return PerformanceReview(
        employee_key=message.employee_key,
        review_date=day(message.review_date, "review_date"),
        team=message.team,
        score=message.score,
        target=message.target if message.HasField("target") else None,
        scale_max=message.scale_max if message.HasField("scale_max") else None,
        attributes=present(message.work),
    )


def present(message: Message) -> dict[str, AttributeValue]:
    """Return the scalar fields that are present, by name."""
    return {field.name: value for field, value in message.ListFields()}


def _word(name: Callable[[Value], str], prefix: str, value: Value) -> str | None:
    return name(value).removeprefix(prefix).lower() if value else None
