"""StreamEvents: where it begins, what it leaves out, how it goes on, and how it ends."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.events.v1 import envelope_pb2, payloads_pb2
from analytics.events.v1 import event_service_pb2 as pb
from analytics.v1 import models_pb2
from google.rpc import error_details_pb2

from server.db import Database
from server.db.engines import DbRole
from server.events.model import AiProvenance, Cause, PredictionFailed
from server.events.relay.loop import Relay
from server.identity import JobId, OrgId
from server.rpc import events as rpc
from server.rpc import watches
from server.tenants import store as tenants
from tests.support import environment, live
from tests.support.asking import new_org
from tests.support.clock import VirtualClock
from tests.support.leftovers import superuser
from tests.support.refusals import Refusal, read, refusal
from tests.support.telling import CAUSE, an_event, begun, ids, next_of, stream, take, tell
from tests.support.until import until, until_so

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service
    from tests.support.telling import Stream

JOB = JobId(uuid4())


def failed() -> PredictionFailed:
    return PredictionFailed(JobId(uuid4()), 1, "turnover_prediction", "1.0.0")


async def refused(opened: Stream) -> Refusal:
    """Read a stream to its failure."""
    try:
        async with asyncio.timeout(20):
            while await opened.read() is not grpc.aio.EOF:
                pass
            await refusal(opened.read())
    except grpc.aio.AioRpcError as error:
        return read(error)
    raise AssertionError


async def test_a_stream_without_a_cursor_has_what_comes_from_now_on_and_on_demand_what_is_kept(shared: Service) -> None:
    org = new_org()
    before = await tell(shared.app.db, org, an_event(), an_event())
    assert ids(await take(stream(shared, org, from_start=True), 2)) == before
    fresh = stream(shared, org)
    await begun(fresh)
    after = await tell(shared.app.db, org, an_event())
    assert ids(await take(fresh, 1)) == after
    assert ids(await take(stream(shared, org, from_start=True), 3)) == before + after


async def test_the_envelope_says_everything_of_the_event(shared: Service) -> None:
    org, job = new_org(), JobId(uuid4())
    made = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    cause = Cause(
        "request-7", CAUSE.traceparent, str(uuid4()), "eu", AiProvenance("explain", "m", "2", "abc", "call-1", made, ("fact/1", "fact/2"))
    )
    written = await tell(shared.app.db, org, PredictionFailed(job, 3, "turnover_prediction", "1.2.0"), cause=cause)
    event = (await take(stream(shared, org, from_start=True), 1))[0].event
    assert (event.id, event.type, event.source, event.org_id) == (written[0], "prediction.failed", "analytics", org)
    assert (event.subject, event.sequence, event.residency) == (f"prediction_job/{job}", 1, "eu")
    assert (event.correlation_id, event.causation_id, event.traceparent) == ("request-7", cause.causation_id, cause.traceparent)
    content = payloads_pb2.PredictionFailed(
        job_id=str(job), generation=3, model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION, model_version="1.2.0"
    )
    assert event.prediction_failed == content
    assert event.occur_time.ToDatetime() <= event.publish_time.ToDatetime()
    assert (event.ai_provenance.capability, list(event.ai_provenance.fact_references)) == ("explain", ["fact/1", "fact/2"])
    assert event.ai_provenance.time.ToDatetime(tzinfo=UTC) == made


async def test_a_type_and_content_of_a_newer_release_do_not_stop_the_stream(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    await tell(shared.app.db, org, an_event(), an_event(), an_event())
    await take(stream(shared, org, from_start=True), 3)
    async with superuser(cluster, shared) as admin:
        await admin.execute("UPDATE events SET type = 'prediction.dreamt' WHERE org_id = $1 AND sequence = 1", org)
        newer = 'UPDATE events SET payload = payload || \'{"model_type": "weather", "mood": 1}\' WHERE org_id = $1 AND sequence = 2'
        await admin.execute(newer, org)
    first, second, third = (message.event for message in await take(stream(shared, org, from_start=True), 3))
    assert (first.type, first.WhichOneof("payload")) == ("prediction.dreamt", None)
    assert (second.prediction_completed.model_type, second.prediction_completed.model_version) == (0, "1.0.0")
    assert third.prediction_completed.model_type == 1


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        ([], [0, 1, 2, 3]),
        (["prediction.failed"], [1, 3]),
        (["prediction.*"], [0, 1, 2, 3]),
        (["insight.*", "prediction.completed"], [0, 2]),
        (["insight.*"], []),
    ],
)
async def test_types_are_exact_or_the_beginning_up_to_a_star(shared: Service, types: list[str], wanted: list[int]) -> None:
    org = new_org()
    written = await tell(shared.app.db, org, an_event(), failed(), an_event(), failed())
    opened = stream(shared, org, from_start=True, types=types)
    await begun(opened)
    assert ids(await take(opened, len(wanted))) == [written[place] for place in wanted]


async def test_only_events_about_the_wanted_metrics_come(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    written = await tell(shared.app.db, org, an_event(), an_event(), an_event())
    await take(stream(shared, org, from_start=True), 3)
    async with superuser(cluster, shared) as admin:
        keyed = "UPDATE events SET payload = payload || jsonb_build_object('metric_key', 'metric-' || sequence)"
        await admin.execute(f"{keyed} WHERE org_id = $1 AND sequence > 1", org)
    opened = stream(shared, org, from_start=True, metric_keys=["metric-3", "metric-1"])
    assert ids(await take(opened, 1)) == written[2:]


async def test_a_cursor_goes_on_right_after_its_message_with_other_filters_too(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "PAGE", 2)
    org = new_org()
    written = await tell(shared.app.db, org, *(an_event() if place % 2 else failed() for place in range(9)))
    messages = await take(stream(shared, org, from_start=True), 9)
    assert ids(messages) == written
    for place, message in enumerate(messages[:-1]):
        assert ids(await take(stream(shared, org, cursor=message.cursor), 1)) == [written[place + 1]]
    only_failed = await take(stream(shared, org, cursor=messages[0].cursor, types=["prediction.failed"]), 4)
    assert ids(only_failed) == written[2::2]


async def test_a_heartbeat_carries_a_cursor_past_what_the_filters_left_out(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "HEARTBEAT_SECONDS", 0.1)
    org = new_org()
    opened = stream(shared, org, types=["insight.*"])
    first = await begun(opened)
    written = await tell(shared.app.db, org, an_event(), an_event())
    seen = stream(shared, org, cursor=first)
    past = (await take(seen, 2))[-1].cursor
    async with asyncio.timeout(20):
        while (message := await next_of(opened)).cursor != past:
            assert message.heartbeat
    fresh = await tell(shared.app.db, org, an_event())
    assert ids(await take(stream(shared, org, cursor=message.cursor), 1)) == fresh
    assert fresh != written


async def test_events_of_another_organization_are_never_in_a_stream(shared: Service) -> None:
    mine, theirs = new_org(), new_org()
    opened = stream(shared, mine)
    await begun(opened)
    await tell(shared.app.db, theirs, an_event(), an_event())
    await take(stream(shared, theirs, from_start=True), 2)
    written = await tell(shared.app.db, mine, an_event())
    got = (await take(opened, 1))[0].event
    assert (got.id, got.org_id, got.sequence) == (written[0], mine, 1)


async def test_a_cursor_of_another_organization_a_forged_one_and_one_of_another_list_are_refused(shared: Service) -> None:
    mine, theirs = new_org(), new_org()
    for org in (mine, theirs):
        await tell(shared.app.db, org, an_event())
    foreign = (await take(stream(shared, theirs, from_start=True), 1))[0].cursor
    raw = bytearray(base64.urlsafe_b64decode(foreign + "=" * (-len(foreign) % 4)))
    raw[-4] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    for org, cursor in ((mine, foreign), (theirs, forged), (mine, "not a cursor"), (mine, "AAAA")):
        found = await refused(stream(shared, org, cursor=cursor))
        assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")
        assert list(found.fields) == ["cursor"]
    assert await take(stream(shared, theirs, cursor=foreign), 0) == []


async def test_a_cursor_ahead_of_every_event_is_refused(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    await tell(shared.app.db, org, an_event(), an_event())
    cursor = (await take(stream(shared, org, from_start=True), 2))[-1].cursor
    async with superuser(cluster, shared) as admin:
        # As after a restore of an older backup.
        await admin.execute("DELETE FROM events WHERE org_id = $1 AND sequence = 2", org)
        await admin.execute("UPDATE event_sequences SET last_sequence = 1 WHERE org_id = $1", org)
    assert (await refused(stream(shared, org, cursor=cursor))).reason == "CURSOR_INVALID"


async def test_types_that_nothing_sends_are_refused_by_their_place(shared: Service) -> None:
    for wrong in ("prediction.complete", "ai/prediction.requested", "prediktion.*"):
        found = await refused(stream(shared, new_org(), types=["prediction.*", wrong]))
        assert (found.reason, list(found.fields)) == ("VALIDATION_FAILED", ["types[1]"])
    assert (await refused(stream(shared, new_org(), types=["*"]))).reason == "VALIDATION_FAILED"


@pytest.mark.parametrize("alone", [True, False])
async def test_an_expired_cursor_is_refused_with_the_oldest_that_goes_on(
    cluster: Cluster, database: str, tmp_path: Path, *, alone: bool
) -> None:
    clock = await VirtualClock.install(cluster, database)
    async with live.running(environment.settings(cluster, database), tmp_path) as service:
        org = new_org()
        await tell(service.app.db, org, *(an_event() for _ in range(3)))
        cursors = [message.cursor for message in await take(stream(service, org, from_start=True), 3)]
        await clock.advance(7 * 86_400 + 1)
        kept = [] if alone else await tell(service.app.db, org, an_event())
        if kept:
            await take(stream(service, org, cursor=cursors[2]), 1)

        async def is_purged() -> bool:
            # Nothing is purged while the service's own relay is at work.
            await service.app.relay.purge()
            async with superuser(cluster, service) as admin:
                return not await admin.fetchval("SELECT count(*) FROM events WHERE org_id = $1 AND sequence < 4", org)

        await until_so(is_purged)
        for cursor in cursors[:2]:
            found = await refused(stream(service, org, cursor=cursor))
            assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED")
            info = found.detail(error_details_pb2.ErrorInfo)
            assert info.metadata["oldest_sequence"] == "4"
            go_on = stream(service, org, cursor=info.metadata["oldest_cursor"])
            await begun(go_on)
            assert ids(await take(go_on, len(kept))) == kept
        # Nothing is missing after the last one that was purged.
        still_good = stream(service, org, cursor=cursors[2])
        await begun(still_good)
        assert ids(await take(still_good, len(kept))) == kept
    await clock.close()


async def test_a_reader_whose_next_event_is_purged_while_it_waits_is_told_of_the_gap(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    opened = stream(shared, org)
    await begun(opened)
    async with superuser(cluster, shared) as admin:
        await admin.execute("INSERT INTO event_sequences VALUES ($1, 5)", org)
    await tell(shared.app.db, org, an_event())
    assert (await refused(opened)).reason == "CURSOR_EXPIRED"


async def test_a_stream_ends_with_unavailable_and_a_pause_when_the_server_shuts_down(
    cluster: Cluster, database: str, tmp_path: Path
) -> None:
    async with live.running(environment.settings(cluster, database), tmp_path) as service:
        opened = stream(service, new_org())
        await begun(opened)
        draining = asyncio.create_task(service.server.drain(5.0))
        found = await refused(opened)
        await draining
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert found.has(error_details_pb2.RetryInfo)


async def test_what_nobody_rang_for_is_found_by_one_look_for_all_readers(cluster: Cluster, database: str, tmp_path: Path) -> None:
    async def deaf(topics: tuple[str, ...]) -> None:
        """As when the relay's process dies between its commit and the ring."""

    async with live.running(environment.settings(cluster, database), tmp_path, worker=False) as service:
        silent = Database(environment.settings(cluster, database), deaf)
        relay = Relay(silent, service.app.bell, tenants.organizations)
        orgs = [new_org() for _ in range(5)]
        streams = {org: stream(service, org) for org in (*orgs, *orgs)}
        for opened in streams.values():
            await begun(opened)
        written = {org: await tell(silent, org, an_event()) for org in orgs}
        await relay.drain()
        got = {org: ids(await take(opened, 1)) for org, opened in streams.items()}
        assert got == written
        await silent.close()


async def test_a_stream_that_was_left_leaves_nothing_behind_and_one_that_waits_holds_no_connection(shared: Service) -> None:
    orgs = {OrgId(new_org()) for _ in range(20)}
    opened = [stream(shared, org) for org in orgs]
    for each in opened:
        await begun(each)
    await until(lambda: orgs <= shared.app.tails._watchers.keys())
    await until(lambda: shared.app.db.taken(DbRole.APP) == 0)
    for each in opened:
        each.cancel()
    await until(lambda: not orgs & shared.app.tails._watchers.keys())


async def test_who_may_read_and_who_may_publish(shared: Service) -> None:
    org = new_org()
    listed = await shared.events.ListEventTypes(pb.ListEventTypesRequest(), metadata=live.bearer(org, "viewer"))
    assert [each.type for each in listed.types if each.direction == 2] == ["ai/prediction.requested"]
    assert {each.type for each in listed.types if each.direction == 1} >= {"prediction.completed", "insight.created", "benchmark.updated"}
    request = pb.PublishEventsRequest(events=[envelope_pb2.Envelope(id=str(uuid4()), type="x")])
    for who in (live.bearer(org, "viewer"), live.operator()):
        assert (await refusal(shared.events.PublishEvents(request, metadata=who))).reason == "ROLE_REQUIRED"
    operators = shared.events.StreamEvents(pb.StreamEventsRequest(), metadata=live.operator())
    assert (await refused(operators)).reason == "ROLE_REQUIRED"
