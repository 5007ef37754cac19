"""Made-up facts of every kind, and the batches they travel in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import contracts_pb2, payroll_pb2, performance_pb2, spend_pb2
from analytics.v1 import fact_service_pb2 as pb
from google.type.date_pb2 import Date

from tests.support import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from google.protobuf.message import Message

MEMBERS = tuple(member.name for member in pb.IngestFactsRequest.DESCRIPTOR.oneofs_by_name["batch"].fields)
"""Kinds of batches, as the contract names them."""


def exit_of(number: int) -> payroll_pb2.EmployeeExit:
    """Return an employee who gave notice."""
    return payroll_pb2.EmployeeExit(
        employee_key=f"e-{number}", exit_date=Date(year=2025, month=6, day=30), kind=payroll_pb2.EXIT_KIND_VOLUNTARY
    )


def pay(number: int) -> payroll_pb2.PayrollEntry:
    """Return the pay of a month."""
    return payroll_pb2.PayrollEntry(
        employee_key=f"e-{number}",
        period=Date(year=2025, month=6),
        cost_centre="4711",
        pay_type=payroll_pb2.PAY_TYPE_BASE,
        gross_amount=f"{3000 + number}.50",
        currency_code="EUR",
        hours=160,
    )


def contract(number: int) -> contracts_pb2.Contract:
    """Return a contract that was renewed; two in a row have the same other side."""
    return contracts_pb2.Contract(
        contract_key=f"c-{number}",
        counterparty_key=f"s-{number // 2}",
        value=f"{120_000 + number}.00",
        currency_code="EUR",
        start_date=Date(year=2023, month=1, day=1),
        end_date=Date(year=2024, month=12, day=31),
        status=contracts_pb2.CONTRACT_STATUS_ACTIVE,
        outcome=contracts_pb2.CONTRACT_OUTCOME_RENEWED,
        outcome_date=Date(year=2024, month=12, day=1),
        attributes=contracts_pb2.ContractAttributes(contract_type="framework", notice_days=90, auto_renew=True, monthly_value=5000),
    )


def spend(number: int) -> spend_pb2.SpendEntry:
    """Return the spend and the budget of a month."""
    return spend_pb2.SpendEntry(
        unit=f"u-{number}", category="IT", period=Date(year=2025, month=6), amount=f"{900 + number}.25", budget="1000", currency_code="EUR"
    )


def review(number: int) -> performance_pb2.PerformanceReview:
    """Return a review with a target."""
    return performance_pb2.PerformanceReview(
        employee_key=f"e-{number}",
        review_date=Date(year=2025, month=6, day=30),
        team="Sales",
        score=3,
        target=2.5,
        scale_max=5,
        work=performance_pb2.WorkMeasures(people=8, changes=1),
    )


_MAKERS: Mapping[str, Callable[[int], Message]] = {
    "employees": rows.employee,
    "employee_exits": exit_of,
    "payroll_entries": pay,
    "contracts": contract,
    "spend_entries": spend,
    "performance_reviews": review,
}


def made(member: str, count: int, start: int = 0) -> list[Message]:
    """Return `count` facts of the kind of a batch; subject `number` is the same in every kind that knows it."""
    return [_MAKERS[member](number) for number in range(start, start + count)]


def batch(facts: Iterable[Message], member: str = "employees") -> pb.IngestFactsRequest:
    """Return the batch of some facts; `member` says which one when there are none."""
    request = pb.IngestFactsRequest()
    items = list(facts)
    if items:
        member = next(each for each in MEMBERS if type(_MAKERS[each](0)) is type(items[0]))
    holder = getattr(request, member)
    holder.SetInParent()
    (place,) = holder.DESCRIPTOR.fields
    getattr(holder, place.name).extend(items)
    return request


def every_batch(count: int = 1) -> Iterator[pb.IngestFactsRequest]:
    """Yield a batch of every kind."""
    for member in MEMBERS:
        yield batch(made(member, count))
