"""Waiting for a job: a wait ends with the job, a watch tells every revision and ends with it too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from server.rpc import watches
from tests.support import live
from tests.support.asking import accepted, ended, job, new_org, typed
from tests.support.refusals import read, refusal
from tests.support.stalls import undisturbed
from tests.support.until import until
from tests.support.working import shared_service, working

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("waiting")

QUEUED, CANCELLED, COMPLETED = pb.PREDICTION_JOB_STATE_QUEUED, pb.PREDICTION_JOB_STATE_CANCELLED, pb.PREDICTION_JOB_STATE_COMPLETED


@pytest.fixture(scope="module")
async def idle(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service without a worker: a job that is due waits for a worker, one that is not due waits for its time."""
    async with shared_service(cluster, tmp_path_factory.mktemp("idle"), model=True, worker=False, valkey_database=2) as service:
        yield service


async def _later(service: Service, who: Metadata, seed: int) -> str:
    """A job that is not due for an hour."""
    request = typed(seed)
    request.schedule_time.GetCurrentTime()
    request.schedule_time.seconds += 3600
    return (await accepted(service, who, request)).job_id


async def _cancel(service: Service, who: Metadata, job_id: str) -> None:
    await service.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=job_id), metadata=who)


def _waited(service: Service, who: Metadata, job_id: str, **wait: int) -> asyncio.Task[pb.GetPredictionJobResponse]:
    request = pb.GetPredictionJobRequest(job_id=job_id, wait=Duration(**wait))

    async def call() -> pb.GetPredictionJobResponse:
        return await service.analytics.GetPredictionJob(request, metadata=who)

    return asyncio.create_task(call())


class _Watch:
    """A watch and what it said so far."""

    def __init__(self, service: Service, who: Metadata, job_id: str, after_revision: int = 0) -> None:
        request = pb.WatchPredictionJobRequest(job_id=job_id, after_revision=after_revision)
        self.stream = service.analytics.WatchPredictionJob(request, metadata=who)
        self._messages = aiter(self.stream)

    async def next(self) -> pb.PredictionJob:
        async with asyncio.timeout(10):
            message = await anext(self._messages)
        assert not message.heartbeat
        return message.job

    async def rest(self) -> list[pb.PredictionJob]:
        async with asyncio.timeout(20):
            return [message.job async for message in self._messages]


async def test_a_wait_ends_as_soon_as_the_job_ends(idle: Service, org: str) -> None:
    who = live.bearer(org)
    clock = asyncio.get_running_loop().time
    seeds = iter(range(1, 100))

    async def seconds_to_the_end() -> float:
        job_id = await _later(idle, who, next(seeds))
        waiting = _waited(idle, who, job_id, seconds=30)
        # The wait is on when its watcher is registered.
        await until(lambda: bool(idle.app.watched._watchers))
        began = clock()
        await _cancel(idle, who, job_id)
        assert (await waiting).job.state == CANCELLED
        return clock() - began

    assert await undisturbed(seconds_to_the_end) < 2
    assert not idle.app.watched._watchers


async def test_a_wait_that_is_over_answers_with_the_job_as_it_stands(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    assert (await _waited(idle, who, job_id, nanos=50_000_000)).job.state == QUEUED
    assert (await _waited(idle, who, job_id, seconds=0)).job == await job(idle, who, job_id)


async def test_a_wait_is_cut_to_the_callers_deadline_and_still_answers(idle: Service, org: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.rpc.predictions._ANSWER_MARGIN_SECONDS", 4.5)
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    request = pb.GetPredictionJobRequest(job_id=job_id, wait=Duration(seconds=30))
    answer = await idle.analytics.GetPredictionJob(request, metadata=who, timeout=5.0)
    assert answer.job.state == QUEUED


async def test_a_wait_for_a_job_that_ended_answers_at_once(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    await _cancel(idle, who, job_id)
    assert (await _waited(idle, who, job_id, seconds=30)).job.state == CANCELLED


async def test_a_watch_tells_the_present_state_then_every_revision_and_ends_ok(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = (await accepted(idle, who, typed(1))).job_id
    watch = _Watch(idle, who, job_id)
    told = [await watch.next()]
    async with working(idle):
        told += await watch.rest()
    assert await watch.stream.code() is grpc.StatusCode.OK
    revisions = [each.revision for each in told]
    assert revisions == sorted(set(revisions))
    assert told[-1].state == COMPLETED
    assert told[-1].HasField("turnover")
    states = [each.state for each in told]
    assert states == sorted(states)


async def test_a_watch_of_a_job_that_ended_tells_its_end_and_is_over(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    await _cancel(idle, who, job_id)
    for after in (0, 1, 2):
        watch = _Watch(idle, who, job_id, after)
        assert [each.state for each in await watch.rest()] == [CANCELLED]
        assert await watch.stream.code() is grpc.StatusCode.OK


async def test_a_watch_after_a_revision_that_never_was_is_invalid(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    for after in (1_000, -1):
        refused = await refusal(_Watch(idle, who, job_id, after).rest())
        assert (refused.code, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, {"after_revision"})


async def test_a_watch_resumed_after_a_revision_tells_only_newer_ones(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    first = _Watch(idle, who, job_id)
    seen = (await first.next()).revision
    first.stream.cancel()
    resumed = _Watch(idle, who, job_id, seen)
    pending = asyncio.create_task(resumed.next())
    await job(idle, who, job_id)
    assert not pending.done()
    await _cancel(idle, who, job_id)
    told = await pending
    assert (told.state, told.revision > seen) == (CANCELLED, True)


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_watch_from_the_future_is_refused_whether_the_job_waits_or_has_ended(idle: Service, org: str, *, has_ended: bool) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    if has_ended:
        await _cancel(idle, who, job_id)
    newest = (await job(idle, who, job_id)).revision
    for after in (newest + 1, 1_000, 2**63 - 1, -1):
        refused = await refusal(_Watch(idle, who, job_id, after).next())
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")
        assert set(refused.fields) == {"after_revision"}


async def test_a_quiet_watch_gives_a_sign_of_life(idle: Service, org: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "HEARTBEAT_SECONDS", 0.05)
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    watch = _Watch(idle, who, job_id)
    await watch.next()
    async with asyncio.timeout(5):
        message = await anext(aiter(watch.stream))
    assert message.heartbeat
    assert not message.HasField("job")
    watch.stream.cancel()


async def test_many_watchers_of_a_job_are_told_the_same_end(idle: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    watches_ = [_Watch(idle, who, job_id) for _ in range(10)]
    for watch in watches_:
        await watch.next()
    await _cancel(idle, who, job_id)
    ends = await asyncio.gather(*(watch.rest() for watch in watches_))
    assert [[each.state for each in told] for told in ends] == [[CANCELLED]] * 10


async def test_a_missed_ring_costs_a_second_and_not_the_answer(idle: Service, org: str, monkeypatch: pytest.MonkeyPatch) -> None:
    who = live.bearer(org)
    job_id = await _later(idle, who, 1)
    watch = _Watch(idle, who, job_id)
    await watch.next()

    async def unheard(_topics: tuple[str, ...]) -> None:
        return

    monkeypatch.setattr(idle.app.db, "_ring", unheard)
    await _cancel(idle, who, job_id)
    async with asyncio.timeout(5):
        assert [each.state for each in await watch.rest()] == [CANCELLED]


async def test_on_shutdown_a_watch_ends_unavailable_with_retry_info_and_a_wait_answers(cluster: Cluster, ready_service: Service) -> None:
    who = live.bearer(new_org())
    job_id = await _later(ready_service, who, 1)
    watch = _Watch(ready_service, who, job_id)
    seen = (await watch.next()).revision
    waiting = _waited(ready_service, who, job_id, seconds=30)
    await until(lambda: ready_service.app.watched._watchers.total() == 2)
    await ready_service.server.drain(5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.rest()
    refused = read(caught.value)
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert refused.detail(error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
    answered = (await waiting).job
    assert (answered.state, answered.revision) == (QUEUED, seen)


async def test_a_scheduled_job_is_not_started_before_its_time(shared: Service, org: str) -> None:
    who = live.bearer(org)
    seeds = iter(range(20))
    while True:
        request = typed(next(seeds))
        request.schedule_time.GetCurrentTime()
        request.schedule_time.FromNanoseconds(request.schedule_time.ToNanoseconds() + 700_000_000)
        answer = await accepted(shared, who, request)
        # Where the machine stood still that long, it came too late and was due at once.
        if answer.job.schedule_time.ToMicroseconds() == request.schedule_time.ToMicroseconds():
            break
    assert answer.job.state == QUEUED
    done = await ended(shared, who, answer.job_id)
    assert done.start_time.ToNanoseconds() >= done.schedule_time.ToNanoseconds()
