"""PublishEvents: each event by itself, once per id, and by the way that RequestPrediction goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from analytics.events.v1 import envelope_pb2, payloads_pb2
from analytics.events.v1 import event_service_pb2 as pb
from analytics.v1 import predictions_pb2
from google.rpc import error_details_pb2

from server.queue import QueueUnavailable, Valkey
from tests.support import live, rows
from tests.support.asking import TURNOVER, accepted, ended, new_org, typed
from tests.support.leftovers import nothing_of, rows_of, superuser
from tests.support.refusals import refusal
from tests.support.telling import stream, take

if TYPE_CHECKING:
    from google.rpc import status_pb2

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

INBOUND = "ai/prediction.requested"


def wanted(seed: int, event_id: str = "", **fields: str) -> envelope_pb2.Envelope:
    """Return an event that asks for the prediction of a made-up employee."""
    event = envelope_pb2.Envelope(id=event_id or str(uuid4()), type=INBOUND, source="orchestrator", **fields)  # type: ignore[arg-type]  # texts
    prediction = event.ai_prediction_requested.prediction
    prediction.model_type = TURNOVER
    prediction.turnover.attributes.CopyFrom(rows.attributes(seed))
    return event


async def published(service: Service, who: Metadata, *events: envelope_pb2.Envelope) -> list[pb.PublishEventsItem]:
    answer = await service.events.PublishEvents(pb.PublishEventsRequest(events=events), metadata=who)
    assert len(answer.items) == len(events)
    return list(answer.items)


def reason(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


def field(status: status_pb2.Status) -> str:
    for detail in status.details:
        found = error_details_pb2.BadRequest()
        if detail.Unpack(found):
            return found.field_violations[0].field
    return ""


async def test_an_event_queues_the_prediction_that_request_prediction_would_queue(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    who = live.bearer(org, "analyst")
    event = wanted(1, correlation_id="matter-7")
    [item] = await published(shared, who, event)
    assert (item.accepted.event_id, item.accepted.duplicate) == (event.id, False)
    job = await ended(shared, who, item.accepted.prediction.job_id)
    assert job.state == predictions_pb2.PREDICTION_JOB_STATE_COMPLETED
    twin = await accepted(shared, who, typed(1))
    assert (twin.deduplicated, twin.job_id) == (True, job.id)
    by_call = new_org()
    other = await accepted(shared, live.bearer(by_call), typed(1))
    await ended(shared, live.bearer(by_call), other.job_id)
    async with superuser(cluster, shared) as admin:
        actions = "SELECT action, resource_id, details->>'deduplicated' AS d FROM audit_entries WHERE org_id = $1 ORDER BY at"
        assert [tuple(row) for row in await admin.fetch(actions, org)] == [
            ("prediction.requested", job.id, "false"),
            ("prediction.requested", job.id, "true"),
        ]
        columns = "SELECT model_id, input_hash, generation, requested_by, attempt FROM prediction_jobs WHERE org_id = $1"
        assert [tuple(row) for row in await admin.fetch(columns, org)] == [tuple(row) for row in await admin.fetch(columns, by_call)]


async def test_what_follows_from_an_event_names_it_as_its_cause_and_goes_on_with_its_trace(shared: Service) -> None:
    org = new_org()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = wanted(2, correlation_id="matter-8", traceparent=trace)
    await published(shared, live.bearer(org), event)
    told = (await take(stream(shared, org, from_start=True), 2))[0].event
    assert (told.type, told.causation_id, told.correlation_id, told.traceparent) == ("prediction.requested", event.id, "matter-8", trace)


async def test_an_event_that_comes_again_gets_the_first_answer_and_changes_nothing(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    who = live.bearer(org)
    event = wanted(3)
    [first] = await published(shared, who, event)
    await ended(shared, who, first.accepted.prediction.job_id)
    await take(stream(shared, org, from_start=True), 2)  # so that the relay has numbered them
    before = await rows_of(cluster, shared, org)
    again = wanted(3, event.id.upper(), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    for _ in range(2):
        [repeated] = await published(shared, who, again)
        assert repeated.accepted.duplicate
        assert repeated.accepted.prediction == first.accepted.prediction
    after = await rows_of(cluster, shared, org)
    # Like every repeated request each leaves an entry of the audit log.
    assert after["audit_entries"] == before["audit_entries"] + 2
    assert {**after, "audit_entries": 0, "outbox": 0, "events": 0} == {**before, "audit_entries": 0, "outbox": 0, "events": 0}


async def test_the_same_events_published_at_the_same_time_are_one_job_each(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    who = live.bearer(org)
    events = [wanted(seed) for seed in range(8)]
    calls = await asyncio.gather(*(published(shared, who, *(events if turn % 2 else events[::-1])) for turn in range(6)))
    jobs = {item.accepted.event_id: set[str]() for items in calls for item in items}
    for items in calls:
        for item in items:
            jobs[item.accepted.event_id].add(item.accepted.prediction.job_id)
    assert jobs.keys() == {event.id for event in events}
    assert all(len(each) == 1 for each in jobs.values())
    async with superuser(cluster, shared) as admin:
        assert await admin.fetchval("SELECT count(*) FROM prediction_jobs WHERE org_id = $1", org) == 8


async def test_an_id_within_one_call_counts_once_and_another_event_under_it_is_refused(shared: Service) -> None:
    who = live.bearer(new_org())
    one = wanted(4)
    other = wanted(5, one.id)
    first, same, different = await published(shared, who, one, one, other)
    assert (first.accepted.duplicate, same.accepted.duplicate) == (False, True)
    assert same.accepted.prediction.job_id == first.accepted.prediction.job_id
    assert (reason(different.error), field(different.error)) == ("IDEMPOTENCY_KEY_REUSED", "events[2].id")
    [later] = await published(shared, who, other)
    assert (reason(later.error), field(later.error)) == ("IDEMPOTENCY_KEY_REUSED", "events[0].id")


async def test_events_that_cannot_be_taken_are_refused_each_by_itself_with_what_to_do(shared: Service, cluster: Cluster) -> None:
    org = new_org()
    who = live.bearer(org)
    wrong = wanted(6)
    wrong.ai_prediction_requested.prediction.turnover.attributes.ClearField("monthly_income")
    mixed = wanted(6)
    mixed.insight_created.insight_id = "x"
    empty = wanted(6)
    empty.ai_prediction_requested.ClearField("prediction")
    nameless = wanted(7)
    nameless.type = ""
    sent = envelope_pb2.Envelope(id=str(uuid4()), prediction_completed=payloads_pb2.PredictionCompleted(job_id="x"))
    unknown = envelope_pb2.Envelope(id=str(uuid4()), type="weather.changed")
    nothing = envelope_pb2.Envelope(id=str(uuid4()))
    items = await published(shared, who, wrong, mixed, empty, nameless, sent, unknown, nothing)
    refused = [(reason(item.error), field(item.error)) for item in items if item.HasField("error")]
    features = "events[0].ai_prediction_requested.prediction.turnover.attributes.monthly_income"
    assert refused == [
        ("INPUT_SCHEMA_MISMATCH", features),
        ("VALIDATION_FAILED", "events[1].payload"),
        ("VALIDATION_FAILED", "events[2].ai_prediction_requested.prediction"),
        ("EVENT_TYPE_REFUSED", "events[4].type"),
        ("EVENT_TYPE_REFUSED", "events[5].type"),
        ("EVENT_TYPE_REFUSED", "events[6].type"),
    ]
    assert all(INBOUND in items[place].error.message for place in (4, 5, 6))
    assert items[3].accepted.prediction.job_id
    # What was refused may be mended and sent under the same id.
    mended = wanted(6, wrong.id)
    assert (await published(shared, who, mended))[0].accepted.prediction.job_id
    await ended(shared, who, items[3].accepted.prediction.job_id)
    async with superuser(cluster, shared) as admin:
        assert await admin.fetchval("SELECT count(*) FROM prediction_jobs WHERE org_id = $1", org) == 2


async def test_an_event_of_another_organization_fails_the_call_and_nothing_is_accepted(shared: Service, cluster: Cluster) -> None:
    mine, theirs = new_org(), new_org()
    request = pb.PublishEventsRequest(events=[wanted(8, org_id=mine), wanted(9, org_id=theirs)])
    found = await refusal(shared.events.PublishEvents(request, metadata=live.bearer(mine)))
    assert (found.reason, list(found.fields)) == ("VALIDATION_FAILED", ["events[1].org_id"])
    assert await nothing_of(cluster, shared, mine)
    assert await nothing_of(cluster, shared, theirs)
    [item] = await published(shared, live.bearer(mine), wanted(8, org_id=mine))
    assert item.accepted.prediction.job_id
    await ended(shared, live.bearer(mine), item.accepted.prediction.job_id)


async def test_an_id_that_another_organization_used_is_free(shared: Service) -> None:
    one, other = new_org(), new_org()
    event = wanted(10)
    [first] = await published(shared, live.bearer(one), event)
    [second] = await published(shared, live.bearer(other), event)
    assert not second.accepted.duplicate
    assert second.accepted.prediction.job_id != first.accepted.prediction.job_id


@pytest.mark.parametrize(
    ("events", "because"),
    [
        ([], "VALIDATION_FAILED"),
        ([wanted(1)] * 501, "BATCH_TOO_LARGE"),
        ([envelope_pb2.Envelope(id="not a uuid", type=INBOUND)], "VALIDATION_FAILED"),
        ([wanted(1, traceparent="somewhere")], "VALIDATION_FAILED"),
        ([wanted(1, correlation_id="two words")], "VALIDATION_FAILED"),
    ],
)
async def test_what_breaks_a_rule_fails_the_call(shared: Service, events: list[envelope_pb2.Envelope], because: str) -> None:
    request = pb.PublishEventsRequest(events=events)
    assert (await refusal(shared.events.PublishEvents(request, metadata=live.bearer(new_org())))).reason == because


async def test_nothing_is_accepted_while_the_queue_is_away(shared: Service, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    org = new_org()

    async def away(*_arguments: object) -> None:
        raise QueueUnavailable

    event = wanted(11)
    with monkeypatch.context() as silent:
        silent.setattr(Valkey, "put", away)
        request = pb.PublishEventsRequest(events=[event])
        found = await refusal(shared.events.PublishEvents(request, metadata=live.bearer(org)))
    assert found.reason == "QUEUE_UNAVAILABLE"
    assert await nothing_of(cluster, shared, org)
    [item] = await published(shared, live.bearer(org), event)
    assert not item.accepted.duplicate


async def test_five_hundred_events_are_one_call_and_each_is_answered_in_its_place(shared: Service) -> None:
    unknown = [envelope_pb2.Envelope(id=str(uuid4()), type="weather.changed") for _ in range(460)]
    events = [wanted(seed % 20) for seed in range(40)] + unknown
    items = await published(shared, live.bearer(new_org()), *events)
    assert [item.accepted.event_id for item in items[:40]] == [event.id for event in events[:40]]
    assert {reason(item.error) for item in items[40:]} == {"EVENT_TYPE_REFUSED"}
    assert len({item.accepted.prediction.job_id for item in items[:40]}) == 20
    assert sum(not item.accepted.prediction.deduplicated for item in items[:40]) == 20
