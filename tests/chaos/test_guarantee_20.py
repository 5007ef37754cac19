"""Guarantee 20: cancelled calls leak nothing."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import predictions_pb2 as pb
from analytics.v1 import tenant_service_pb2
from google.protobuf.duration_pb2 import Duration

from server.db.engines import DbRole
from server.events.model import OUTBOX_TOPIC
from server.predictions.model import HANDED_OVER_TOPIC
from server.predictions.model import QUEUED_TOPIC as PREDICTIONS_TOPIC
from server.schedule.model import QUEUED_TOPIC as RUNS_TOPIC
from tests.support import live
from tests.support.asking import accepted, typed
from tests.support.leftovers import superuser
from tests.support.until import until, until_so

if TYPE_CHECKING:
    import asyncpg

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("chaos")

CALLS = 2_000
LANES = 25
IDLE_SECONDS = 5.0
_IDLE = """
SELECT coalesce(extract(epoch FROM max(clock_timestamp() - state_change)), -1)::float8 FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""
"""Age in seconds of the oldest transaction in which nothing happens; -1 when there is none."""


@dataclass
class Storm:
    """What a run of cancelled calls saw."""

    calls: int = 0
    cancelled: int = 0
    longest_idle: float = -1.0
    over: asyncio.Event = field(default_factory=asyncio.Event)


async def _call(service: Service, who: Metadata, dice: random.Random, job_id: str) -> None:
    match dice.randrange(5):
        case 0:
            await service.analytics.RequestPrediction(typed(dice.randrange(10**6)), metadata=who)
        case 1:
            wait = pb.GetPredictionJobRequest(job_id=job_id, wait=Duration(seconds=20))
            await service.analytics.GetPredictionJob(wait, metadata=who)
        case 2:
            await service.analytics.ListPredictionJobs(pb.ListPredictionJobsRequest(), metadata=who)
        case 3:
            await service.tenants.GetSwitches(tenant_service_pb2.GetSwitchesRequest(), metadata=who)
        case _:
            await _watched(service, who, job_id)


async def _watched(service: Service, who: Metadata, job_id: str) -> None:
    call = service.analytics.WatchPredictionJob(pb.WatchPredictionJobRequest(job_id=job_id), metadata=who)
    try:
        async for _ in call:
            pass
    finally:
        # The library does not, where the cancellation meets it between having sent the request and waiting for an answer.
        call.cancel()


async def _lane(service: Service, storm: Storm, dice: random.Random, org: str) -> None:
    who = live.bearer(org)
    later = typed(1)
    later.schedule_time.GetCurrentTime()
    later.schedule_time.seconds += 3600
    job_id = (await accepted(service, who, later)).job_id
    while storm.calls < CALLS:
        storm.calls += 1

        task = asyncio.create_task(_call(service, who, dice, job_id))
        for _ in range(dice.randint(1, 150)):
            await asyncio.sleep(0)
        task.cancel()
        outcome = await asyncio.gather(task, return_exceptions=True)
        storm.cancelled += isinstance(outcome[0], asyncio.CancelledError)


async def _look(connection: asyncpg.Connection, storm: Storm) -> None:
    while not storm.over.is_set():
        storm.longest_idle = max(storm.longest_idle, await connection.fetchval(_IDLE))


ALWAYS = (PREDICTIONS_TOPIC, HANDED_OVER_TOPIC, RUNS_TOPIC, OUTBOX_TOPIC)
"""What dispatcher, workers and relay wait for as long as they live."""


def _leaks(service: Service) -> list[str]:
    """What of a call is still held."""
    app = service.app
    held = [f"connection of {role}" for role in DbRole if app.db.taken(role)]
    held += [f"watcher of {watched}" for watched in app.watched._watchers]
    held += [f"waiter for {topic}" for topic in app.bell._waiting if topic not in ALWAYS]
    return held + ["a call"] * service.server._calls._number


async def test_guarantee_20_cancelled_calls_leak_neither_connections_nor_transactions_nor_watchers(
    cluster: Cluster, ready_service: Service, org: str
) -> None:
    storm = Storm()
    async with superuser(cluster, ready_service) as connection:
        looking = asyncio.create_task(_look(connection, storm))
        await asyncio.gather(*(_lane(ready_service, storm, random.Random(lane), f"{org}-{lane}") for lane in range(LANES)))
        held: list[str] = []

        def free() -> bool:
            held[:] = _leaks(ready_service)
            return not held

        try:
            await until(free)
        except TimeoutError:
            pytest.fail(f"still held: {', '.join(held)}")
        storm.over.set()
        await looking
        left = await connection.fetchval(_IDLE)
    print(f"guarantee 20: {storm.calls} calls, {storm.cancelled} cancelled, longest idle transaction {max(storm.longest_idle, 0):.3f} s")
    assert storm.cancelled > CALLS // 2
    assert storm.longest_idle < IDLE_SECONDS
    assert left < IDLE_SECONDS


async def test_guarantee_20_control_a_transaction_and_a_watcher_left_open_are_seen(cluster: Cluster, service: Service, org: str) -> None:
    await until(lambda: not _leaks(service))
    async with superuser(cluster, service) as connection, service.app.db.platform():
        assert "connection of app" in _leaks(service)
        first = await connection.fetchval(_IDLE)
        assert first >= 0

        async def longer() -> bool:
            # Another transaction, somewhat older than ours, may have been idle at the first look.
            return bool(await connection.fetchval(_IDLE) > first)

        await until_so(longer)
    with service.app.bell.waiting("prediction:forgotten"):
        assert "waiter for prediction:forgotten" in _leaks(service)
