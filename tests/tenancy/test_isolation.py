"""Guarantee 8: no RPC shows or changes anything of another tenant."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest
from analytics.v1 import employees_pb2, fact_service_pb2, insights_pb2, models_pb2, predictions_pb2, tenant_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date

from server.insights.model import Action, Priority, Provenance
from server.tenants import store as tenants
from tests.support import insights, live, walk
from tests.support.made_facts import MEMBERS, batch, made
from tests.support.telling import stream, take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from server.db import ReadTx
    from server.identity import OrgId
    from server.tenants.model import Profile
    from tests.support.databases import Cluster
    from tests.support.live import Service

CALLS = int(os.environ.get("GUARANTEE_08_CALLS", "20000"))
VICTIMS = ("victim-a", "victim-b")
ATTACKER = "attacker"
LANES = 12
DAY = date(2026, 9, 30)
_UNKNOWN = "00000000-0000-4000-8000-000000000000"


def canary(org: str, cell: str) -> str:
    """Return the text that stands in a cell of an organization and nowhere else."""
    return f"CANARY-{org}-{cell}"


@dataclass
class Ids:
    """What the attacker knows of others: all their ids."""

    job_id: list[str] = field(default_factory=lambda: [_UNKNOWN])
    insight_id: list[str] = field(default_factory=lambda: [_UNKNOWN])
    employee_key: list[str] = field(default_factory=lambda: ["nobody"])
    contract_key: list[str] = field(default_factory=lambda: ["none"])
    counterparty_key: list[str] = field(default_factory=lambda: ["none"])
    unit: list[str] = field(default_factory=lambda: ["none"])
    page_token: list[str] = field(default_factory=list)
    etag: list[str] = field(default_factory=lambda: ["", "1"])
    cursor: list[str] = field(default_factory=list)
    event_id: list[str] = field(default_factory=lambda: [_UNKNOWN])


async def _rows(org: str) -> AsyncIterator[fact_service_pb2.IngestFactsRequest]:
    attributes = employees_pb2.EmployeeAttributes(
        department=canary(org, "department"), job_role=canary(org, "role"), monthly_income=4321.5, years_at_company=3,
        education_field=canary(org, "field"),
    )  # fmt: skip
    rows = [
        employees_pb2.Employee(employee_key=canary(org, f"key-{number}"), as_of=Date(year=2026, month=1, day=31), attributes=attributes)
        for number in range(3)
    ]
    yield batch(rows)
    for member in MEMBERS[1:]:
        facts = made(member, 3)
        for number, fact in enumerate(facts):
            for name in set(fact.DESCRIPTOR.fields_by_name) & {"employee_key", "contract_key", "counterparty_key", "unit"}:
                setattr(fact, name, canary(org, f"{name.removesuffix('_key').replace('employee', 'key')}-{number}"))
            for name in set(fact.DESCRIPTOR.fields_by_name) & {"category", "cost_centre", "team"}:
                setattr(fact, name, canary(org, name.replace("_", "-")))
        yield batch(facts)


async def fill(service: Service, org: str, ids: Ids) -> None:
    """Give an organization canaries in every cell it can write."""
    who = live.bearer(org, user=canary(org, "user"))
    profile = tenant_service_pb2.OrganizationProfile(display_name=canary(org, "name"))
    mask = FieldMask(paths=["display_name"])
    await service.tenants.UpdateOrganizationProfile(
        tenant_service_pb2.UpdateOrganizationProfileRequest(profile=profile, update_mask=mask), metadata=who
    )
    loaded = await service.facts.IngestFacts(_rows(org), metadata=(*who, ("x-request-id", canary(org, "request"))))
    assert [result.inserted for result in loaded.batches] == [3] * len(MEMBERS)
    for number in range(3):
        ids.employee_key.append(canary(org, f"key-{number}"))
        ids.contract_key.append(canary(org, f"contract-{number}"))
        ids.counterparty_key.append(canary(org, f"counterparty-{number}"))
        ids.unit.append(canary(org, f"unit-{number}"))
        request = predictions_pb2.RequestPredictionRequest(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
        request.turnover.employee_key = canary(org, f"key-{number}")
        request.turnover.attributes.years_at_company = number
        named = (*who, ("x-request-id", canary(org, f"event-{number}")))
        accepted = await service.analytics.RequestPrediction(request, metadata=named)
        wait = predictions_pb2.GetPredictionJobRequest(job_id=accepted.job_id, wait=Duration(seconds=20))
        job = (await service.analytics.GetPredictionJob(wait, metadata=who)).job
        assert job.state == predictions_pb2.PREDICTION_JOB_STATE_COMPLETED
        ids.job_id.append(accepted.job_id)
    ids.page_token.append(await _insights(service, org, ids))
    jobs = await service.analytics.ListPredictionJobs(predictions_pb2.ListPredictionJobsRequest(page_size=1), metadata=who)
    audit = await service.tenants.ListAuditEntries(tenant_service_pb2.ListAuditEntriesRequest(page_size=1), metadata=who)
    ids.page_token += [jobs.next_page_token, audit.next_page_token]
    # Each prediction has told of its request and its end; then the relay has nothing left that would change their rows later.
    opened = stream(service, org, from_start=True)
    for message in await take(opened, 11):
        ids.cursor.append(message.cursor)
        ids.event_id.append(message.event.id)
    opened.cancel()


async def _insights(service: Service, org: str, ids: Ids) -> str:
    """Give an organization active, viewed and dismissed insights; returns a token of its list."""
    words = {name: canary(org, name) for name in ("title", "description")}
    actions = (Action(canary(org, "action"), Priority.LOW, canary(org, "impact"), canary(org, "url")),)
    points = {"department": canary(org, "data"), "keys": [canary(org, "key-0")]}
    findings = [
        insights.finding(f"subject-{number}", **words, actions=actions, data_points=points, provenance=Provenance(canary(org, "rule"), DAY))
        for number in range(4)
    ]
    await insights.recorded(service.app.db, org, findings)
    who = live.bearer(org, user=canary(org, "user"))
    page = await service.analytics.GetInsights(insights_pb2.GetInsightsRequest(page_size=3), metadata=who)
    known = [insight.id for insight in page.insights]
    ids.insight_id += known
    await service.analytics.MarkInsightsViewed(insights_pb2.MarkInsightsViewedRequest(insight_ids=known[:2]), metadata=who)
    await service.analytics.DismissInsight(insights_pb2.DismissInsightRequest(insight_id=known[2]), metadata=who)
    return page.next_page_token


@dataclass
class Findings:
    """What the walk saw."""

    codes: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    ingested: set[str] = field(default_factory=set)
    erased: int = 0

    def note(self, request: Message, answer: bytes) -> None:
        """Remember which facts were written and erased."""
        if isinstance(request, fact_service_pb2.IngestFactsRequest):
            (result,) = fact_service_pb2.IngestFactsResponse.FromString(answer).batches
            if not result.errors:
                self.ingested.add(request.WhichOneof("batch") or "")
        elif isinstance(request, fact_service_pb2.DeleteFactsRequest):
            self.erased += fact_service_pb2.DeleteFactsResponse.FromString(answer).deleted


async def _call(channel: grpc.aio.Channel, rpc: walk.Rpc, request: bytes, metadata: live.Metadata) -> tuple[str, bytes]:
    """Make a call; returns its code and everything it brought back."""
    got: list[bytes] = []
    try:
        if rpc.gives_stream:
            parts: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(rpc.path)
            got.extend([part async for part in parts(request, metadata=metadata, timeout=0.3)])
        elif rpc.takes_stream:
            stream: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(rpc.path)
            got.append(await stream(iter([request]), metadata=metadata, timeout=20))
        else:
            unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(rpc.path)
            got.append(await unary(request, metadata=metadata, timeout=20))
    except grpc.aio.AioRpcError as error:
        got.append((error.details() or "").encode())
        got.extend(value if isinstance(value, bytes) else value.encode() for _, value in error.trailing_metadata() or ())
        return error.code().name, b"\n".join(got)
    return "OK", b"\n".join(got)


async def storm(service: Service, ids: Ids, calls: int) -> Findings:
    """Call every RPC in turn as the attacker, with ids of everybody, and search what comes back for others' canaries."""
    findings = Findings()
    rpcs = walk.rpcs()
    tenant, operator = live.bearer(ATTACKER), live.operator()
    mine = [*ids.job_id]
    pools = walk.Pools({
        "job_id": mine, "employee_key": ids.employee_key, "page_token": [*ids.page_token, "", ""], "etag": ids.etag,
        "contract_key": ids.contract_key, "counterparty_key": ids.counterparty_key, "unit": ids.unit, "currency_code": ["EUR"],
        "paths": ["display_name", "pooled_training"], "page_size": [0, 1, 3], "action": [""], "request_id": ["", "", _UNKNOWN],
        "insight_id": ids.insight_id, "insight_ids": ids.insight_id, "insight_type": ["", "payroll_cost_spike"],
        "min_confidence": [0.0, 0.5],
        "model_type": [1], "schedule_time": [], "after_revision": [0], "state": [0, 0, 3],
        # A stream that begins lasts until the call's time is over, so most have a cursor that is refused.
        "cursor": [*ids.cursor, ""], "types": ["prediction.*"], "id": ids.event_id,
        "type": ["", "ai/prediction.requested", "insight.created"], "org_id": ["", "", *VICTIMS], "causation_id": ids.event_id,
        "traceparent": [""],
    })  # fmt: skip

    async def lane(number: int) -> None:
        dice = random.Random(number)
        for turn in range(calls // LANES + 1):
            rpc = rpcs[(turn * LANES + number) % len(rpcs)]
            message = walk.request(rpc, dice, pools)
            request = message.SerializeToString()
            metadata = operator if "OperationsService" in rpc.path and "RunJob" not in rpc.path and dice.random() < 0.5 else tenant
            code, answer = await _call(service.channel, rpc, request, metadata)
            findings.codes[code] += 1
            findings.paths[rpc.path] += 1
            if code == "OK":
                findings.note(message, answer)
            # What the caller sent may come back (an unknown employee_key in its own error); nothing else of theirs may.
            for leak in _canaries(answer):
                if leak not in request:
                    findings.leaks.append(f"{rpc.path}: {leak.decode()}")

    await asyncio.gather(*(lane(number) for number in range(LANES)))
    return findings


def _canaries(answer: bytes) -> list[bytes]:
    prefix = b"CANARY-victim"
    found, start = [], answer.find(prefix)
    while start >= 0:
        end = start
        while end < len(answer) and (answer[end : end + 1].isalnum() or answer[end : end + 1] == b"-"):
            end += 1
        found.append(answer[start:end])
        start = answer.find(prefix, end)
    return found


async def everything_of(cluster: Cluster, database: str, org: str) -> dict[str, str]:
    """Return all rows of an organization, by table, as superuser."""
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        tables = await connection.fetch("SELECT DISTINCT tablename FROM pg_policies WHERE schemaname = 'public'")
        queries = {
            row["tablename"]: f"SELECT string_agg(t::text, '|' ORDER BY t::text) FROM {row['tablename']} t WHERE org_id = $1"  # noqa: S608 - names from the catalogue
            for row in tables
        }
        return {table: await connection.fetchval(query, org) or "" for table, query in queries.items()}
    finally:
        await connection.close()


@pytest.fixture
async def filled(ready_service: Service) -> tuple[Service, Ids]:
    """A service with two victims, and the attacker's knowledge of their ids."""
    ids = Ids()
    for org in VICTIMS:
        await fill(ready_service, org, ids)
    return ready_service, ids


async def test_guarantee_08_no_rpc_shows_or_changes_anything_of_another_tenant(
    filled: tuple[Service, Ids], cluster: Cluster, database: str
) -> None:
    service, ids = filled
    before = {org: await everything_of(cluster, database, org) for org in VICTIMS}
    findings = await storm(service, ids, CALLS)
    print(f"guarantee 8: {findings.codes.total()} calls of {len(findings.paths)} RPCs, {dict(findings.codes)}, {len(findings.leaks)} leaks")
    assert findings.leaks == []
    assert len(findings.paths) == len(walk.rpcs())
    assert findings.codes.total() >= CALLS
    assert findings.codes["OK"] > CALLS // 4
    assert findings.codes["INTERNAL"] == 0
    assert findings.codes["NOT_FOUND"] > CALLS // 50
    # The attacker's own rows of every kind were taken, under keys of the victims, and some were erased.
    assert findings.ingested == set(MEMBERS)
    assert findings.erased
    assert {org: await everything_of(cluster, database, org) for org in VICTIMS} == before


async def test_guarantee_08_control_a_cache_without_the_tenant_in_its_key_is_found(
    filled: tuple[Service, Ids], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, ids = filled
    real = tenants.profile
    cached: dict[str, Profile] = {}

    async def profile(tx: ReadTx, org: OrgId) -> Profile:
        if "profile" not in cached:
            cached["profile"] = await real(tx, org)
        return cached["profile"]

    monkeypatch.setattr(tenants, "profile", profile)
    await service.tenants.GetOrganizationProfile(tenant_service_pb2.GetOrganizationProfileRequest(), metadata=live.bearer(VICTIMS[0]))
    assert (await storm(service, ids, 200)).leaks


@pytest.mark.parametrize(
    "rpc",
    ["GetPredictionJob", "CancelPredictionJob", "WatchPredictionJob", "GetInsight", "DismissInsight", "MarkInsightsViewed"],
)
async def test_another_tenants_id_answers_exactly_as_an_unknown_one(filled: tuple[Service, Ids], rpc: str) -> None:
    service, ids = filled
    chosen = next(each for each in walk.rpcs() if each.path.endswith(f"/{rpc}"))
    answers = []
    for foreign in ((ids.insight_id if "Insight" in rpc else ids.job_id)[1], _UNKNOWN):
        (field_,) = (name for name in ("job_id", "insight_id", "insight_ids") if name in chosen.request.DESCRIPTOR.fields_by_name)
        request = chosen.request(**{field_: [foreign] if field_ == "insight_ids" else foreign}).SerializeToString()
        metadata = (*live.bearer(ATTACKER), ("x-request-id", "same"))
        code, answer = await _call(service.channel, chosen, request, metadata)
        answers.append((code, answer.replace(foreign.encode(), b"ID")))
    assert answers[0] == answers[1]
    assert answers[0][0] == "NOT_FOUND"
