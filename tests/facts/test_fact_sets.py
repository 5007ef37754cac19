"""Every fact set alike: counted, idempotent, all or nothing, bad rows named by field; and of no other organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from analytics.v1 import contracts_pb2, tenant_service_pb2
from analytics.v1 import fact_service_pb2 as pb
from google.type.date_pb2 import Date

from server.facts.model import FactSet
from server.wire.facts import fact_set_value
from tests.support import live
from tests.support.asking import new_org
from tests.support.leftovers import nothing_of, rows_of, superuser
from tests.support.loading import load, load_batches
from tests.support.made_facts import MEMBERS, made
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("ingest")

# What a later version of a row says otherwise: path of a field, and its value.
CHANGES: dict[str, tuple[str, object]] = {
    "employees": ("attributes.monthly_income", 4321.5),
    "employee_exits": ("kind", 3),
    "payroll_entries": ("gross_amount", "17.25"),
    "contracts": ("attributes.notice_days", 30),
    "spend_entries": ("budget", "17.25"),
    "performance_reviews": ("work.people", 9),
}


def put(message: Message, path: str, value: object) -> None:
    """Set a field, in a message of the message; with None clear it."""
    *inside, name = path.split(".")
    holder: Any = message
    for part in inside:
        holder = getattr(holder, part)
    if isinstance(value, Date):
        getattr(holder, name).CopyFrom(value)
    elif value is None:
        holder.ClearField(name)
    else:
        setattr(holder, name, value)


def counts(result: pb.BatchResult) -> tuple[int, int, int]:
    """Inserted, updated, unchanged."""
    return result.inserted, result.updated, result.unchanged


async def summaries(service: Service, who: Metadata) -> dict[str, tuple[int, int, int]]:
    """Rows, subjects and rows with an outcome of the fact sets that have any."""
    answer = await service.facts.ListFactSets(pb.ListFactSetsRequest(), metadata=who)
    assert [each.fact_set for each in answer.fact_sets] == [fact_set_value(each) for each in FactSet]
    by_name = zip(FactSet, answer.fact_sets, strict=True)
    return {name.value: (each.rows, each.subjects, each.labelled_rows) for name, each in by_name if each.rows}


@pytest.mark.parametrize("member", MEMBERS)
async def test_rows_are_inserted_once_updated_when_changed_and_otherwise_left_alone(shared: Service, org: str, member: str) -> None:
    who, facts = live.bearer(org), made(member, 6)
    assert counts(await load(shared, who, facts)) == (6, 0, 0)
    assert counts(await load(shared, who, facts[::-1])) == (0, 0, 6)
    for fact in facts[:2]:
        put(fact, *CHANGES[member])
    assert counts(await load(shared, who, [*facts, *made(member, 1, start=6)])) == (1, 2, 4)
    assert counts(await load(shared, who, facts)) == (0, 0, 6)
    labelled = 0 if member == "payroll_entries" else 7
    assert await summaries(shared, who) == {member: (7, 7, labelled)}


async def test_a_row_that_says_less_than_before_loses_what_it_no_longer_says(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    (contract,) = made("contracts", 1)
    await load(shared, who, [contract])
    for path in ("end_date", "outcome", "outcome_date", "attributes"):
        put(contract, path, None)
    assert counts(await load(shared, who, [contract])) == (0, 1, 0)
    async with superuser(cluster, shared) as connection:
        row = await connection.fetchrow("SELECT end_date, outcome, outcome_date, notice_days FROM contracts WHERE org_id = $1", org)
    assert row is not None
    assert tuple(row) == (None, None, None, None)


async def test_a_payroll_month_that_is_sent_again_replaces_its_rows_and_says_so(cluster: Cluster, shared: Service, org: str) -> None:
    who, june = live.bearer(org), made("payroll_entries", 4)
    await load(shared, who, june)
    for number, entry in enumerate(june):
        put(entry, "gross_amount", f"{9000 + number}.01")
        # Any day of the month names the month.
        put(entry, "period", Date(year=2025, month=6, day=30))
    assert counts(await load(shared, who, june)) == (0, 4, 0)
    async with superuser(cluster, shared) as connection:
        stored = await connection.fetch("SELECT period::text, gross_amount::text AS paid FROM payroll_entries WHERE org_id = $1", org)
    assert sorted(tuple(row) for row in stored) == [("2025-06-01", f"{9000 + number}.0100") for number in range(4)]
    request = tenant_service_pb2.ListAuditEntriesRequest(action="facts.ingested")
    latest = (await shared.tenants.ListAuditEntries(request, metadata=who)).entries[0]
    assert (latest.resource_id, dict(latest.details)) == ("payroll_entries", {"inserted": "0", "updated": "4", "unchanged": "0"})


def day(year: int, month: int, day: int) -> Date:
    return Date(year=year, month=month, day=day)


FAR, NOT_A_DAY, LONG_AGO = day(2099, 1, 1), day(2025, 2, 29), day(1949, 12, 31)
CSIS_DAY = day(5009, 3, 5)

# Kind of batch, path, bad value, field that is named when it is another.
BAD: tuple[tuple[str, str, object] | tuple[str, str, object, str], ...] = (
    *(("employee_exits", "exit_date", value) for value in (NOT_A_DAY, LONG_AGO, CSIS_DAY, FAR, Date(year=2025, month=6), None)),
    *(("employees", "as_of", value) for value in (NOT_A_DAY, FAR, None)),
    ("employee_exits", "kind", 9),
    ("employee_exits", "employee_key", ""),
    *(("payroll_entries", "period", value) for value in (day(2025, 13, 1), day(2025, 0, 1), LONG_AGO, CSIS_DAY, FAR, None)),
    *(("payroll_entries", "gross_amount", value) for value in ("-1", "-0.01", "", "1e5", "1,000", "12.34567", "NaN", "٣", "1" * 16)),
    *(("payroll_entries", "currency_code", value) for value in ("QQQ", "eur", "EURO", "", "ABC")),
    *(("payroll_entries", "hours", value) for value in (-1.0, 1000.5, float("nan"), float("inf"))),
    *(("payroll_entries", "pay_type", value) for value in (0, 99)),
    ("payroll_entries", "cost_centre", ""),
    ("payroll_entries", "cost_centre", "4711\n"),
    *(("contracts", "start_date", value) for value in (NOT_A_DAY, CSIS_DAY, None)),
    *(("contracts", "end_date", value) for value in (day(2022, 12, 31), NOT_A_DAY, Date())),
    *(("contracts", "outcome_date", value) for value in (day(2022, 12, 31), CSIS_DAY, FAR)),
    ("contracts", "outcome", 0, "outcome_date"),
    ("contracts", "outcome", 9),
    ("contracts", "status", contracts_pb2.CONTRACT_STATUS_DRAFT, "outcome"),
    ("contracts", "status", 0),
    ("contracts", "value", "-5"),
    ("contracts", "currency_code", "ZZZ"),
    ("contracts", "counterparty_key", "x" * 129),
    ("contracts", "attributes.notice_days", -1),
    ("contracts", "attributes.monthly_value", float("nan")),
    ("contracts", "attributes.contract_type", ""),
    *(("spend_entries", "amount", value) for value in ("--1", "1.", "", "1" * 16)),
    *(("spend_entries", "budget", value) for value in ("-1", "x")),
    ("spend_entries", "period", FAR),
    ("spend_entries", "period", day(2025, 13, 1)),
    ("spend_entries", "currency_code", "QQQ"),
    ("spend_entries", "unit", ""),
    *(("performance_reviews", "review_date", value) for value in (NOT_A_DAY, FAR, CSIS_DAY, None)),
    *(("performance_reviews", "score", value) for value in (-1.0, 5.5, float("nan"), float("inf"))),
    *(("performance_reviews", "target", value) for value in (5.5, -1.0)),
    ("performance_reviews", "scale_max", 0.0),
    ("performance_reviews", "team", ""),
    ("performance_reviews", "work.idle_people", -1),
)


async def test_every_bad_row_is_named_by_its_field_and_nothing_of_its_batch_is_written(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    batches, fields = [], []
    for member, path, value, *other in BAD:
        facts = made(member, 3)
        put(facts[1], path, value)
        batches.append(facts)
        fields.append(other[0] if other else path)
    results = await load_batches(shared, who, *batches)
    for bad, field, result in zip(BAD, fields, results, strict=True):
        assert (counts(result), result.bad_rows) == ((0, 0, 0), 1), bad
        # The far future is refused in the month and in the amount that was spent in it.
        assert field in {error.field for error in result.errors} <= {field, "amount"}, (bad, result.errors)
        assert {error.row for error in result.errors} == {1}
        assert all(error.description for error in result.errors)
    assert await nothing_of(cluster, shared, org)


async def test_control_the_rows_that_were_spoiled_are_good(shared: Service, org: str) -> None:
    who = live.bearer(org)
    results = await load_batches(shared, who, *(made(member, 3) for member in MEMBERS))
    assert [counts(result) for result in results] == [(3, 0, 0)] * len(MEMBERS)


async def test_neither_an_amount_nor_a_budget_is_an_entry(shared: Service, org: str) -> None:
    (entry,) = made("spend_entries", 1)
    put(entry, "amount", None)
    assert counts(await load(shared, live.bearer(org), [entry])) == (1, 0, 0)
    put(entry, "budget", None)
    (error,) = (await load(shared, live.bearer(org), [entry])).errors
    assert (error.field, "one of them is needed" in error.description) == ("amount", True)


KEYS = {
    "employees": "employee_key and as_of",
    "employee_exits": "employee_key and exit_date",
    "payroll_entries": "employee_key, period, cost_centre and pay_type",
    "contracts": "contract_key",
    "spend_entries": "unit, category and period",
    "performance_reviews": "employee_key and review_date",
}


@pytest.mark.parametrize("member", MEMBERS)
async def test_a_key_that_stands_twice_in_a_batch_is_refused_and_names_the_first_row(shared: Service, org: str, member: str) -> None:
    facts = made(member, 4)
    again = made(member, 1, start=1)
    put(again[0], *CHANGES[member])
    if member in ("payroll_entries", "spend_entries"):
        put(again[0], "period.day", 15)
    result = await load(shared, live.bearer(org), [*facts, *again])
    assert counts(result) == (0, 0, 0)
    (error,) = result.errors
    assert (error.row, error.field) == (4, KEYS[member].split(" ")[0].rstrip(","))
    assert error.description == f"has the same {KEYS[member]} as row 1 of this batch"


async def test_a_bad_batch_leaves_batches_of_other_kinds_alone(shared: Service, org: str) -> None:
    who = live.bearer(org)
    spoiled = made("contracts", 5)
    put(spoiled[4], "currency_code", "QQQ")
    results = await load_batches(shared, who, made("spend_entries", 3), spoiled, made("payroll_entries", 2))
    assert [(result.inserted, result.bad_rows) for result in results] == [(3, 0), (0, 1), (2, 0)]
    assert set(await summaries(shared, who)) == {"spend_entries", "payroll_entries"}


@pytest.mark.parametrize("member", MEMBERS)
async def test_5001_rows_of_any_kind_are_too_many(cluster: Cluster, shared: Service, org: str, member: str) -> None:
    (fact,) = made(member, 1)
    refused = await refusal(load(shared, live.bearer(org), [fact] * 5001))
    assert refused.reason == "BATCH_TOO_LARGE"
    assert {field.partition(".")[0] for field in refused.fields} == {member}
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize("member", MEMBERS)
async def test_equal_keys_of_two_organizations_are_different_rows(cluster: Cluster, shared: Service, org: str, member: str) -> None:
    neighbour = new_org()
    facts = made(member, 3)
    await load(shared, live.bearer(org), facts)
    assert counts(await load(shared, live.bearer(neighbour), facts)) == (3, 0, 0)
    for fact in facts:
        put(fact, *CHANGES[member])
    assert counts(await load(shared, live.bearer(neighbour), facts)) == (0, 3, 0)
    assert counts(await load(shared, live.bearer(org), made(member, 3))) == (0, 0, 3)
    assert (await rows_of(cluster, shared, org))[member] == 3
