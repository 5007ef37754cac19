"""Guarantee 22: SIGTERM ends a server and a worker without anybody losing anything."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.chaos import history
from tests.support import live
from tests.support.asking import typed
from tests.support.refusals import read
from tests.support.until import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.stack import Process, Stack

pytestmark = pytest.mark.xdist_group("chaos")

# So long that nothing in these tests is handed on by the end of a lease.
LONG_LEASE = {"ANALYTICS_PREDICTION_LEASE_SECONDS": "60"}
_ATTEMPTS = "SELECT state, attempt, crashes FROM prediction_jobs WHERE job_id = $1"


class _Callers:
    """A watch, a waiting read and a request in the middle of its transaction, all in flight on a server."""

    def __init__(self, stack: Stack, org: str) -> None:
        """Nothing is called yet."""
        self._stack = stack
        self._who = live.bearer(org)
        # A channel that died must not be taken for a server that refused.
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.grpc_port}")
        self.held = stack.folder / "temporary" / f"held-{org}"
        self.health: list[int] = []

    async def call(self, server: Process) -> None:
        """Make the calls and wait until the server has them."""
        # With ids of requests: what is remembered for them is written in transactions, in which a fail point can hold.
        later = typed(1, request_id=str(uuid4()))
        later.schedule_time.GetCurrentTime()
        later.schedule_time.seconds += 3600
        stub = self._stack.analytics
        self.job_id = (await stub.RequestPrediction(later, metadata=self._who, wait_for_ready=True)).job_id
        watch = stub.WatchPredictionJob(pb.WatchPredictionJobRequest(job_id=self.job_id), metadata=self._who)
        self.watching = asyncio.create_task(self._rest(watch))
        self.checking = asyncio.create_task(self._check())
        wait = pb.GetPredictionJobRequest(job_id=self.job_id, wait=Duration(seconds=30))
        self.waiting = asyncio.ensure_future(stub.GetPredictionJob(wait, metadata=self._who))
        self.requesting = asyncio.ensure_future(stub.RequestPrediction(typed(2, request_id=str(uuid4())), metadata=self._who))
        reached = self.held.with_name(f"{self.held.name}.reached")
        await until(lambda: reached.exists() and bool(self.health) and self.told > 0, 20)
        assert not server.gone.is_set()

    told = 0

    async def _rest(self, watch: grpc.aio.UnaryStreamCall[pb.WatchPredictionJobRequest, pb.WatchPredictionJobResponse]) -> None:
        async for _ in watch:
            self.told += 1

    async def _check(self) -> None:
        stub = health_pb2_grpc.HealthStub(self.channel)  # type: ignore[no-untyped-call]  # the package has no types
        request = health_pb2.HealthCheckRequest(service="analytics.v1.AnalyticsService")
        async for answer in stub.Watch(request, wait_for_ready=True):
            self.health.append(answer.status)


async def _begin(bare: Stack, org: str) -> tuple[Process, _Callers]:
    callers = _Callers(bare, org)
    # The first request is the one for a job that waits.
    server = await bare.server(ANALYTICS_FAILPOINTS=f"request.accepted_before_commit=hold:{callers.held}@2")
    await callers.call(server)
    return server, callers


async def test_guarantee_22_a_terminated_server_says_so_ends_watches_and_finishes_what_is_in_flight(bare: Stack, org: str) -> None:
    server, callers = await _begin(bare, org)
    server.send(signal.SIGTERM)
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    await until(lambda: callers.health == [serving, not_serving])
    with pytest.raises(grpc.aio.AioRpcError) as watch:
        await callers.watching
    ended = read(watch.value)
    assert (ended.code, ended.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert ended.detail(error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
    assert (await callers.waiting).job.id == callers.job_id
    assert not callers.requesting.done()
    assert not server.gone.is_set()
    callers.held.touch()
    finished = await callers.requesting
    assert await server.ended() == 0
    async with history.connected(bare) as connection:
        assert await connection.fetchval("SELECT count(*) FROM prediction_jobs WHERE job_id = $1", finished.job_id) == 1
    await asyncio.gather(callers.checking, return_exceptions=True)
    await callers.channel.close()


async def test_guarantee_22_control_a_killed_server_does_none_of_this(bare: Stack, org: str) -> None:
    server, callers = await _begin(bare, org)
    await server.kill()
    calls = (callers.watching, callers.waiting, callers.requesting, callers.checking)
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as cut_off:
            await call
        assert "grpc-status-details-bin" not in dict(cut_off.value.trailing_metadata() or ())
    assert callers.health == [health_pb2.HealthCheckResponse.SERVING]
    await callers.channel.close()


async def _held_by_a_worker(bare: Stack, org: str) -> tuple[Process, str]:
    """A worker in the middle of a job, and no other."""
    held: Path = bare.folder / "temporary" / f"computed-{org}"
    hold = f"worker.computed=hold:{held}"
    _, worker = await asyncio.gather(
        bare.server(**LONG_LEASE), bare.worker(ANALYTICS_FAILPOINTS=hold, ANALYTICS_DRAIN_SECONDS="0.2", **LONG_LEASE)
    )
    job_id = (await bare.ask(org, 1)).job_id
    await until(held.with_name(f"{held.name}.reached").exists, 20)
    return worker, job_id


async def test_guarantee_22_a_job_of_a_terminated_worker_goes_on_elsewhere_at_once(bare: Stack, org: str) -> None:
    worker, job_id = await _held_by_a_worker(bare, org)
    await bare.worker(**LONG_LEASE)
    worker.send(signal.SIGTERM)
    assert (await bare.ended(org, job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    assert await worker.ended() == 0
    async with history.connected(bare) as connection:
        assert [tuple(row) for row in await connection.fetch(_ATTEMPTS, job_id)] == [("COMPLETED", 2, 0)]


async def test_guarantee_22_control_a_job_of_a_killed_worker_waits_for_the_end_of_the_lease(bare: Stack, org: str) -> None:
    worker, job_id = await _held_by_a_worker(bare, org)
    await worker.kill()
    other = (await bare.ask(org, 2)).job_id
    await bare.worker(**LONG_LEASE)
    await bare.ended(org, other)
    async with history.connected(bare) as connection:
        assert [tuple(row) for row in await connection.fetch(_ATTEMPTS, job_id)] == [("RUNNING", 1, 0)]


async def test_guarantee_22_jobs_that_a_terminated_worker_had_not_begun_are_not_left_behind(bare: Stack, org: str) -> None:
    first, _, _ = await asyncio.gather(bare.worker(**LONG_LEASE), bare.worker(**LONG_LEASE), bare.server(**LONG_LEASE))
    answers = await asyncio.gather(*(bare.ask(f"{org}-{number % 30}", number) for number in range(120)))
    first.send(signal.SIGTERM)
    assert await first.ended() == 0

    await history.drained(bare, f"{org}-%")
    async with history.connected(bare) as connection:
        rows = await connection.fetch("SELECT state, crashes FROM prediction_jobs WHERE org_id LIKE $1", f"{org}-%")
    assert [tuple(row) for row in rows] == [("COMPLETED", 0)] * len(answers)
