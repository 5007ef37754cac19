"""Guarantee 21: what goes on without Valkey, and how soon all is well after PostgreSQL restarted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from google.rpc import error_details_pb2
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from server.db import Database
from server.db.pool import Pool
from server.queue import QueueUnavailable, Valkey
from server.settings import Settings
from tests.chaos import history
from tests.chaos.load import pause
from tests.support import live
from tests.support.asking import new_org, typed
from tests.support.faulty_proxy import FaultyProxy, proxied
from tests.support.refusals import refusal
from tests.support.stack import Stack, stack
from tests.support.stalls import undisturbed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.stack import Process

pytestmark = pytest.mark.xdist_group("chaos")

WELL_SECONDS = 10.0
TIMEOUT_SECONDS: float = Settings.model_fields["redis_timeout_seconds"].default
_ROWS = "SELECT count(*) FROM prediction_jobs WHERE org_id = $1"
_AUDIT = "SELECT count(*) FROM audit_entries WHERE org_id = $1"


@dataclass(frozen=True)
class Running:
    """A server and a worker whose way to Valkey leads over a proxy."""

    stack: Stack
    proxy: FaultyProxy
    processes: tuple[Process, ...]

    async def request(self, org: str, seed: int) -> pb.RequestPredictionResponse:
        """Ask once, without waiting for anything."""
        return await self.stack.analytics.RequestPrediction(typed(seed), metadata=live.bearer(org), timeout=10)

    async def well(self, org: str) -> float:
        """Wait until a prediction is accepted and completed; returns the seconds that took."""
        clock = asyncio.get_running_loop().time
        began, seed = clock(), 0
        while True:
            seed += 1
            try:
                answer = await self.request(org, seed)
                job = await self.stack.ended(org, answer.job_id)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await pause(asyncio.Event(), 0.05)
                continue
            assert job.state == pb.PREDICTION_JOB_STATE_COMPLETED
            assert not any(process.gone.is_set() for process in self.processes)
            return clock() - began


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Running]:
    """A service whose databases can be taken away."""
    async with stack(redis_timeout_seconds=TIMEOUT_SECONDS) as made, proxied(made.cluster.valkey.socket_path) as proxy:
        over_proxy = {"ANALYTICS_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0"}
        processes = await asyncio.gather(made.server(**over_proxy), made.worker(**over_proxy))
        service = Running(made, proxy, tuple(processes))
        await service.well(new_org())
        yield service


@pytest.mark.parametrize("fault", [FaultyProxy.cut, FaultyProxy.swallow], ids=["refused", "silent"])
async def test_guarantee_21_without_valkey_reads_go_on_and_a_request_is_unavailable_within_a_second(
    running: Running, org: str, fault: Callable[[FaultyProxy], None]
) -> None:
    clock = asyncio.get_running_loop().time
    known, nobody = org, new_org()
    job_id = (await running.request(known, 1)).job_id
    await running.stack.ended(known, job_id)
    fault(running.proxy)
    who = live.bearer(known)

    async def round_() -> tuple[float, float]:
        """Be refused and read three times; returns the seconds of the refusal and of the longest read."""
        instants = [clock()]
        refused = await refusal(running.request(nobody, 1))
        instants.append(clock())
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_UNAVAILABLE")
        assert refused.has(error_details_pb2.RetryInfo)
        assert (await running.stack.analytics.GetPredictionJob(pb.GetPredictionJobRequest(job_id=job_id), metadata=who)).job.id == job_id
        instants.append(clock())
        assert (await running.stack.analytics.ListPredictionJobs(pb.ListPredictionJobsRequest(), metadata=who)).jobs
        instants.append(clock())
        assert (await running.request(known, 1)).deduplicated
        instants.append(clock())
        refusal_, *reads = (end - begin for begin, end in pairwise(instants))
        return refusal_, max(reads)

    rounds = [await undisturbed(round_) for _ in range(5)]
    longest_refusal, longest_read = (max(seconds) for seconds in zip(*rounds, strict=True))
    async with history.connected(running.stack) as connection:
        assert [await connection.fetchval(rows, nobody) for rows in (_ROWS, _AUDIT)] == [0, 0]
    running.proxy.mend()
    again = await running.well(nobody)
    print(f"guarantee 21: refused within {longest_refusal:.2f} s, each read within {longest_read:.2f} s, well again after {again:.2f} s")
    assert longest_refusal < 1.0
    assert longest_read < 1.0
    assert again < WELL_SECONDS
    async with history.connected(running.stack) as connection:
        assert await connection.fetchval(_ROWS, nobody) > 0


async def test_guarantee_21_control_without_a_time_limit_a_silent_valkey_is_waited_for(running: Running) -> None:
    url = f"redis://127.0.0.1:{running.proxy.port}/0"
    patient, hasty = Redis.from_url(url), Valkey(url, TIMEOUT_SECONDS)
    assert await patient.ping()
    assert await hasty.ping()
    running.proxy.swallow()
    waiting = asyncio.ensure_future(patient.set("control", b""))
    with pytest.raises(QueueUnavailable):
        await hasty.put("control", b"", 1)
    assert not waiting.done()
    running.proxy.mend()
    await waiting
    await patient.aclose()
    await hasty.close()


@pytest.mark.parametrize("end", [Stack.kill_postgres, Stack.stop_postgres], ids=["killed", "stopped"])
async def test_guarantee_21_ten_seconds_after_postgresql_restarted_all_is_well_without_restarting_anything(
    running: Running, org: str, end: Callable[[Stack], Awaitable[None]]
) -> None:
    await end(running.stack)
    refused = await refusal(running.request(org, 1))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert refused.has(error_details_pb2.RetryInfo)
    await running.stack.start_postgres()
    # Sessions of before the restart are in the pool; the first calls do not pay for them.
    listed = running.stack.analytics.ListPredictionJobs
    answers = await asyncio.gather(*(listed(pb.ListPredictionJobsRequest(), metadata=live.bearer(org)) for _ in range(30)))
    assert len(answers) == 30
    again = await running.well(org)
    print(f"guarantee 21: well again {again:.2f} s after PostgreSQL came back")
    assert again < WELL_SECONDS


@pytest.mark.parametrize("guarded", [True, False])
async def test_guarantee_21_control_a_pool_that_does_not_look_hands_out_sessions_of_before_the_restart(
    running: Running, monkeypatch: pytest.MonkeyPatch, *, guarded: bool
) -> None:
    async def silent(_: tuple[str, ...]) -> None:
        return

    db = Database(running.stack.settings, silent)
    if not guarded:
        monkeypatch.setattr(Pool, "_open_one", lambda pool: pool._idle.pop() if pool._idle else None)

    async def used() -> bool:
        try:
            async with db.platform() as tx:
                return bool((await tx.one(text("SELECT 1 AS one"))).one)
        except (SQLAlchemyError, OSError):
            return False

    assert await used()
    await running.stack.stop_postgres()
    await running.stack.start_postgres()
    assert await used() is guarded
    await db.close()
