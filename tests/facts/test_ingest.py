"""Loading employees: counted, idempotent by natural key, all or nothing per batch, bad rows named by index and field."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import employees_pb2, tenant_service_pb2
from analytics.v1 import fact_service_pb2 as pb
from google.type.date_pb2 import Date

from tests.support import live, rows
from tests.support.leftovers import nothing_of, rows_of, superuser
from tests.support.loading import load, load_batches, stream
from tests.support.refusals import refusal
from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("ingest")

Row = employees_pb2.Employee


def counts(result: pb.BatchResult) -> tuple[int, int, int]:
    """Inserted, updated, unchanged."""
    return result.inserted, result.updated, result.unchanged


async def _summary(service: Service, who: Metadata) -> pb.FactSetSummary:
    """What is stored of employees."""
    return (await service.facts.ListFactSets(pb.ListFactSetsRequest(), metadata=who)).fact_sets[0]


async def test_rows_are_counted_as_inserted_updated_and_unchanged(shared: Service, org: str) -> None:
    who = live.bearer(org)
    people = rows.employees(20)
    assert counts(await load(shared, who, people)) == (20, 0, 0)
    assert counts(await load(shared, who, people)) == (0, 0, 20)
    for person in people[:3]:
        person.attributes.monthly_income += 1
    people[3].attributes.ClearField("job_level")
    people[4].ClearField("left_within_year")
    changed = await load(shared, who, [*people, *rows.employees(2, start=20)])
    assert counts(changed) == (2, 5, 15)
    assert (changed.bad_rows, list(changed.errors)) == (0, [])
    summary = await _summary(shared, who)
    assert (summary.fact_set, summary.rows, summary.subjects, summary.labelled_rows) == (pb.FACT_SET_EMPLOYEES, 22, 22, 21)


async def test_states_of_an_employee_at_two_dates_are_two_rows_of_one_subject(shared: Service, org: str) -> None:
    who = live.bearer(org)
    earlier, later = rows.employee(1), rows.employee(1)
    later.as_of.month = 2
    later.as_of.day = 28
    assert counts(await load(shared, who, [earlier, later])) == (2, 0, 0)
    summary = await _summary(shared, who)
    assert (summary.rows, summary.subjects) == (2, 1)


async def test_an_organization_without_facts_has_an_empty_summary(shared: Service, org: str) -> None:
    summary = await _summary(shared, live.bearer(org))
    assert (summary.fact_set, summary.rows, summary.subjects, summary.labelled_rows) == (pb.FACT_SET_EMPLOYEES, 0, 0, 0)
    assert not summary.HasField("update_time")


@pytest.mark.parametrize("turn", range(3))
async def test_batches_at_once_with_the_same_rows_in_opposite_orders_are_both_written(
    cluster: Cluster, shared: Service, org: str, turn: int
) -> None:
    who = live.bearer(org)
    people = rows.employees(3)
    orders = [people, people[::-1]] if turn % 2 else [people[::-1], people]
    await load(shared, who, people[1:2])
    async with superuser(cluster, shared) as connection, AsyncExitStack() as held:
        transaction = connection.transaction()
        await transaction.start()
        held.push_async_callback(transaction.rollback)
        await connection.execute("SELECT FROM employees WHERE org_id = $1 FOR UPDATE", org)

        async def both_wait() -> bool:
            # Within a transaction the view is kept as it was first seen.
            await connection.execute("SELECT pg_stat_clear_snapshot()")
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return bool(await connection.fetchval(waiting) == 2)

        # Each has written what comes before the row in the middle. In the order they came in, the two would then hold what
        # the other needs, and PostgreSQL would end one of them.
        loading = [asyncio.ensure_future(load(shared, who, order)) for order in orders]
        await until_so(both_wait)
        await held.aclose()
        results = await asyncio.gather(*loading)
    assert sorted(map(counts, results)) == [(0, 0, 3), (2, 0, 1)]
    assert (await _summary(shared, who)).rows == 3


def _at(**parts: int) -> Callable[[Row], None]:
    return lambda row: row.as_of.CopyFrom(Date(**parts))


def _attribute(name: str, value: object) -> Callable[[Row], None]:
    return lambda row: setattr(row.attributes, name, value)


BAD = {
    "30 February": (_at(year=2026, month=2, day=30), "as_of"),
    "29 February of a common year": (_at(year=2025, month=2, day=29), "as_of"),
    "year 0": (_at(month=1, day=31), "as_of"),
    "a month alone": (_at(year=2026, month=2), "as_of"),
    "month 13": (_at(year=2026, month=13, day=1), "as_of"),
    "a negative day": (_at(year=2026, month=1, day=-1), "as_of"),
    "the year 1949": (_at(year=1949, month=12, day=31), "as_of"),
    "the year 2101": (_at(year=2101, month=1, day=1), "as_of"),
    "a date beyond all calendars": (_at(year=2**31 - 1, month=1, day=1), "as_of"),
    "no date": (lambda row: row.ClearField("as_of"), "as_of"),
    "no attributes": (lambda row: row.ClearField("attributes"), "attributes"),
    "no key": (lambda row: row.ClearField("employee_key"), "employee_key"),
    "a key of 129 characters": (lambda row: setattr(row, "employee_key", "x" * 129), "employee_key"),
    "NUL in the key": (lambda row: setattr(row, "employee_key", "e\x001"), "employee_key"),
    "a line break in the key": (lambda row: setattr(row, "employee_key", "e\n1"), "employee_key"),
    "NUL in a text": (_attribute("department", "Sa\x00les"), "attributes.department"),
    "a text of 1 MB": (_attribute("job_role", "x" * 1_000_000), "attributes.job_role"),
    "an empty text": (_attribute("education_field", ""), "attributes.education_field"),
    "negative pay": (_attribute("monthly_income", -0.01), "attributes.monthly_income"),
    "NaN": (_attribute("monthly_income", math.nan), "attributes.monthly_income"),
    "infinity": (_attribute("distance_from_home", math.inf), "attributes.distance_from_home"),
    "a grade out of range": (_attribute("job_satisfaction", 5), "attributes.job_satisfaction"),
    "an unknown enum number": (_attribute("business_travel", 9), "attributes.business_travel"),
}


@pytest.mark.parametrize(("spoil", "field"), BAD.values(), ids=BAD)
async def test_a_bad_row_is_named_and_nothing_of_its_batch_is_written(
    cluster: Cluster, shared: Service, org: str, spoil: Callable[[Row], None], field: str
) -> None:
    people = rows.employees(5)
    spoil(people[3])
    result = await load(shared, live.bearer(org), people)
    assert counts(result) == (0, 0, 0)
    assert result.bad_rows == 1
    assert {(error.row, error.field) for error in result.errors} == {(3, field)}
    assert all(error.description for error in result.errors)
    assert await nothing_of(cluster, shared, org)


async def test_a_bad_batch_leaves_the_batches_around_it_alone(shared: Service, org: str) -> None:
    who = live.bearer(org)
    spoiled = rows.employees(10, start=10)
    spoiled[2].attributes.monthly_income = -1
    spoiled[7].as_of.day = 32
    spoiled[7].attributes.job_level = 0
    results = await load_batches(shared, who, rows.employees(10), spoiled, rows.employees(10, start=20))
    assert [result.batch for result in results] == [0, 1, 2]
    assert [result.inserted for result in results] == [10, 0, 10]
    assert results[1].bad_rows == 2
    assert {error.row for error in results[1].errors} == {2, 7}
    assert (await _summary(shared, who)).rows == 20


async def test_a_key_that_stands_twice_in_a_batch_names_the_first_row(shared: Service, org: str) -> None:
    people = rows.employees(5)
    people.append(rows.employee(2))
    result = await load(shared, live.bearer(org), people)
    assert counts(result) == (0, 0, 0)
    assert [(error.row, error.field) for error in result.errors] == [(5, "employee_key")]
    assert "row 2" in result.errors[0].description


async def test_of_many_bad_rows_100_are_listed_and_all_are_counted(shared: Service, org: str) -> None:
    people = rows.employees(300)
    for person in people:
        person.attributes.monthly_income = -1
    result = await load(shared, live.bearer(org), people)
    assert (len(result.errors), result.bad_rows) == (100, 300)


async def test_5000_rows_are_a_batch_and_5001_are_too_many(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    attributes = rows.attributes(1)
    people = [Row(employee_key=f"e-{number}", as_of=Date(year=2026, month=1, day=31), attributes=attributes) for number in range(5001)]
    refused = await refusal(load(shared, who, people))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE")
    assert set(refused.fields) == {"employees.employees"}
    assert await nothing_of(cluster, shared, org)
    assert counts(await load(shared, who, people[:5000])) == (5000, 0, 0)


async def test_batches_before_one_that_is_too_large_stay_written(cluster: Cluster, shared: Service, org: str) -> None:
    refused = await refusal(load_batches(shared, live.bearer(org), rows.employees(3), [Row()] * 5001, rows.employees(3, start=3)))
    assert refused.reason == "BATCH_TOO_LARGE"
    assert (await rows_of(cluster, shared, org))["employees"] == 3


async def test_an_empty_batch_and_a_message_without_batch_are_invalid(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    refused = await refusal(load(shared, who, []))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")
    assert refused.fields

    async def nothing() -> AsyncIterator[pb.IngestFactsRequest]:
        yield pb.IngestFactsRequest()

    refused = await refusal(shared.facts.IngestFacts(nothing(), metadata=who))
    assert (refused.reason, set(refused.fields)) == ("VALIDATION_FAILED", {"batch"})
    assert await nothing_of(cluster, shared, org)


async def test_an_empty_stream_loads_nothing_and_is_no_error(cluster: Cluster, shared: Service, org: str) -> None:
    answer = await shared.facts.IngestFacts(stream([]), metadata=live.bearer(org))
    assert list(answer.batches) == []
    assert await nothing_of(cluster, shared, org)


async def test_a_message_over_4_mib_is_taken_and_one_over_16_mib_is_not(shared: Service, org: str) -> None:
    who = live.bearer(org)
    attributes = rows.attributes(1)
    attributes.department = attributes.job_role = attributes.education_field = "ä" * 128
    people = [Row(employee_key=f"{number:0>128}", as_of=Date(year=2026, month=1, day=31), attributes=attributes) for number in range(5000)]
    assert len(pb.EmployeeBatch(employees=people).SerializeToString()) > 4 << 20
    assert counts(await load(shared, who, people)) == (5000, 0, 0)
    people[0].employee_key = "x" * (17 << 20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await load(shared, who, people)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_each_batch_is_audited_with_its_counts_and_without_a_key(shared: Service, org: str) -> None:
    who = live.bearer(org)
    await load_batches(shared, who, rows.employees(3), rows.employees(4))
    request = tenant_service_pb2.ListAuditEntriesRequest(action="facts.ingested")
    entries = (await shared.tenants.ListAuditEntries(request, metadata=who)).entries
    assert [dict(entry.details) for entry in entries] == [
        {"inserted": "1", "updated": "0", "unchanged": "3"},
        {"inserted": "3", "updated": "0", "unchanged": "0"},
    ]
    assert {(entry.resource_type, entry.resource_id, entry.actor) for entry in entries} == {("fact_set", "employees", "user-1")}


async def test_a_viewer_may_count_facts_but_not_load_them(shared: Service, org: str) -> None:
    viewer = live.bearer(org, "viewer")
    assert (await _summary(shared, viewer)).rows == 0
    refused = await refusal(load(shared, viewer, rows.employees(1)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
