"""Erasure: of one subject, in one fact set or everywhere, or of everything; for good, harmless when repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import fact_service_pb2 as pb
from analytics.v1 import predictions_pb2, tenant_service_pb2

from tests.support import live, rows
from tests.support.asking import TURNOVER, new_org
from tests.support.leftovers import rows_of, superuser
from tests.support.loading import load, load_batches
from tests.support.made_facts import MEMBERS, made
from tests.support.refusals import refusal
from tests.support.trained import activate_model

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("erasure")

EMPLOYEES = pb.FACT_SET_EMPLOYEES


async def _erase(service: Service, who: Metadata, request: pb.DeleteFactsRequest) -> int:
    return (await service.facts.DeleteFacts(request, metadata=who)).deleted


async def _loaded(service: Service, org: str, number: int = 5) -> Metadata:
    who = live.bearer(org)
    await load(service, who, rows.employees(number))
    return who


async def test_all_states_of_one_employee_are_erased_and_nobody_elses(cluster: Cluster, shared: Service, org: str) -> None:
    who = await _loaded(shared, org)
    neighbour = new_org()
    await _loaded(shared, neighbour)
    second = rows.employee(2)
    second.as_of.year = 2025
    await load(shared, who, [second])
    request = pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key="e-2")
    assert await _erase(shared, who, request) == 2
    assert await _erase(shared, who, request) == 0
    assert (await rows_of(cluster, shared, org))["employees"] == 4
    assert (await rows_of(cluster, shared, neighbour))["employees"] == 5


async def test_everything_is_erased_and_only_of_the_caller(cluster: Cluster, shared: Service, org: str) -> None:
    who = await _loaded(shared, org)
    neighbour = new_org()
    await _loaded(shared, neighbour)
    request = pb.DeleteFactsRequest(fact_set=EMPLOYEES, everything=True)
    assert await _erase(shared, who, request) == 5
    assert await _erase(shared, who, request) == 0
    assert "employees" not in await rows_of(cluster, shared, org)
    assert (await rows_of(cluster, shared, neighbour))["employees"] == 5


async def test_an_erasure_is_audited_without_the_key_it_erased(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    person = rows.employee(3)
    person.employee_key = "to-be-forgotten"
    await load(shared, who, [person])
    await _erase(shared, who, pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key="to-be-forgotten"))
    request = tenant_service_pb2.ListAuditEntriesRequest(action="facts.deleted")
    (entry,) = (await shared.tenants.ListAuditEntries(request, metadata=who)).entries
    assert dict(entry.details) == {"scope": "one employee", "rows": "1"}
    async with superuser(cluster, shared) as connection:
        trail = await connection.fetchval("SELECT string_agg(a::text, ' ') FROM audit_entries a WHERE org_id = $1", org)
    assert "forgotten" not in trail


async def test_an_erased_employee_is_unknown_to_predictions(shared: Service, org: str) -> None:
    await activate_model(shared.app)
    who = await _loaded(shared, org)
    await _erase(shared, who, pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key="e-1"))
    request = predictions_pb2.RequestPredictionRequest(model_type=TURNOVER)
    request.turnover.employee_key = "e-1"
    refused = await refusal(shared.analytics.RequestPrediction(request, metadata=who))
    assert refused.reason == "EMPLOYEE_NOT_FOUND"


async def test_a_retry_gets_the_first_count_and_erases_nothing_that_came_since(cluster: Cluster, shared: Service, org: str) -> None:
    who = await _loaded(shared, org)
    request = pb.DeleteFactsRequest(fact_set=EMPLOYEES, everything=True, request_id=str(uuid4()))
    assert await _erase(shared, who, request) == 5
    await load(shared, who, rows.employees(3))
    assert await _erase(shared, who, request) == 5
    assert (await rows_of(cluster, shared, org))["employees"] == 3
    other = pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key="e-1", request_id=request.request_id)
    assert (await refusal(_erase(shared, who, other))).reason == "IDEMPOTENCY_KEY_REUSED"


# Rows of 5 that name each subject: two contracts in a row have the same other side.
SUBJECTS = [
    (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_EMPLOYEE_EXITS, employee_key="e-2"), 1),
    (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_PAYROLL_ENTRIES, employee_key="e-2"), 1),
    (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_PERFORMANCE_REVIEWS, employee_key="e-2"), 1),
    (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_CONTRACTS, contract_key="c-2"), 1),
    (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_CONTRACTS, counterparty_key="s-1"), 2),
    (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_SPEND_ENTRIES, unit="u-2"), 1),
    *((pb.DeleteFactsRequest(fact_set=pb.FactSet.Value(f"FACT_SET_{member.upper()}"), everything=True), 5) for member in MEMBERS),
]
EVERYWHERE = [
    ({"employee_key": "e-2"}, dict.fromkeys(("employees", "employee_exits", "payroll_entries", "performance_reviews"), 1)),
    ({"contract_key": "c-2"}, {"contracts": 1}),
    ({"counterparty_key": "s-1"}, {"contracts": 2}),
    ({"unit": "u-2"}, {"spend_entries": 1}),
]


async def _facts_of(cluster: Cluster, service: Service, org: str) -> dict[str, int]:
    found = await rows_of(cluster, service, org)
    return {member: found.get(member, 0) for member in MEMBERS}


async def _loaded_everywhere(service: Service, org: str) -> Metadata:
    who = live.bearer(org)
    results = await load_batches(service, who, *(made(member, 5) for member in MEMBERS))
    assert [result.inserted for result in results] == [5] * len(MEMBERS)
    return who


@pytest.mark.parametrize(("request_", "gone"), SUBJECTS)
async def test_a_subject_is_erased_from_the_fact_set_that_is_named_and_from_no_other(
    cluster: Cluster, shared: Service, org: str, request_: pb.DeleteFactsRequest, gone: int
) -> None:
    who, neighbour = await _loaded_everywhere(shared, org), new_org()
    await _loaded_everywhere(shared, neighbour)
    assert await _erase(shared, who, request_) == gone
    assert await _erase(shared, who, request_) == 0
    member = pb.FactSet.Name(request_.fact_set).removeprefix("FACT_SET_").lower()
    assert await _facts_of(cluster, shared, org) == {**dict.fromkeys(MEMBERS, 5), member: 5 - gone}
    assert await _facts_of(cluster, shared, neighbour) == dict.fromkeys(MEMBERS, 5)


@pytest.mark.parametrize(("scope", "gone"), EVERYWHERE)
async def test_a_subject_is_erased_everywhere_when_no_fact_set_is_named(
    cluster: Cluster, shared: Service, org: str, scope: dict[str, Any], gone: dict[str, int]
) -> None:
    who, neighbour = await _loaded_everywhere(shared, org), new_org()
    await _loaded_everywhere(shared, neighbour)
    request = pb.DeleteFactsRequest(**scope)
    assert await _erase(shared, who, request) == sum(gone.values())
    assert await _erase(shared, who, request) == 0
    assert await _facts_of(cluster, shared, org) == {member: 5 - gone.get(member, 0) for member in MEMBERS}
    assert await _facts_of(cluster, shared, neighbour) == dict.fromkeys(MEMBERS, 5)
    (key,) = scope.values()
    async with superuser(cluster, shared) as connection:
        for member in gone:
            stored = await connection.fetchval(f"SELECT string_agg(t::text, ' ') FROM {member} t WHERE org_id = $1", org)  # noqa: S608 - names of the contract
            assert str(key) not in stored


async def test_an_erasure_everywhere_is_audited_for_each_fact_set_also_where_nothing_was(shared: Service, org: str) -> None:
    who = live.bearer(org)
    await load(shared, who, made("payroll_entries", 3))
    assert await _erase(shared, who, pb.DeleteFactsRequest(employee_key="e-1")) == 1
    request = tenant_service_pb2.ListAuditEntriesRequest(action="facts.deleted")
    entries = (await shared.tenants.ListAuditEntries(request, metadata=who)).entries
    assert {entry.resource_id: entry.details["rows"] for entry in entries} == {
        "employees": "0",
        "employee_exits": "0",
        "payroll_entries": "1",
        "performance_reviews": "0",
    }


@pytest.mark.parametrize(
    ("request_", "field", "known"),
    [
        (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_CONTRACTS, employee_key="e-1"), "employee_key", "contract_key or counterparty_key"),
        (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_SPEND_ENTRIES, counterparty_key="s-1"), "counterparty_key", "unit"),
        (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_PAYROLL_ENTRIES, unit="u-1"), "unit", "employee_key"),
    ],
)
async def test_a_subject_that_a_fact_set_does_not_know_is_refused_with_those_it_knows(
    shared: Service, org: str, request_: pb.DeleteFactsRequest, field: str, known: str
) -> None:
    refused = await refusal(_erase(shared, live.bearer(org), request_))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")
    assert list(refused.fields) == [field]
    assert refused.fields[field].endswith(f"is erased by {known}")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.DeleteFactsRequest(everything=True), "fact_set"),
        (pb.DeleteFactsRequest(fact_set=9, everything=True), "fact_set"),  # type: ignore[arg-type]  # a number the enum does not have
        (pb.DeleteFactsRequest(fact_set=EMPLOYEES), "scope"),
        (pb.DeleteFactsRequest(fact_set=EMPLOYEES, everything=False), "everything"),
        (pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key=""), "employee_key"),
        (pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key="x" * 129), "employee_key"),
        (pb.DeleteFactsRequest(fact_set=EMPLOYEES, employee_key="e-1\x00"), "employee_key"),
        (pb.DeleteFactsRequest(fact_set=EMPLOYEES, everything=True, request_id="again"), "request_id"),
        (pb.DeleteFactsRequest(fact_set=pb.FACT_SET_CONTRACTS, counterparty_key=""), "counterparty_key"),
        (pb.DeleteFactsRequest(unit="\x00"), "unit"),
    ],
)
async def test_a_bad_erasure_is_refused_by_field_and_erases_nothing(
    cluster: Cluster, shared: Service, org: str, request_: pb.DeleteFactsRequest, field: str
) -> None:
    who = await _loaded(shared, org)
    refused = await refusal(_erase(shared, who, request_))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")
    assert set(refused.fields) == {field}
    assert (await rows_of(cluster, shared, org))["employees"] == 5


async def test_an_analyst_may_load_but_not_erase(shared: Service, org: str) -> None:
    await _loaded(shared, org)
    refused = await refusal(
        _erase(shared, live.bearer(org, "analyst", "viewer"), pb.DeleteFactsRequest(fact_set=EMPLOYEES, everything=True))
    )
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
