"""A run that errors of the database interrupt: taken again, buried in the end, and why is in the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
from analytics.admin.v1 import operations_service_pb2 as pb
from sqlalchemy.exc import DBAPIError

from server.db.statements import DriverFailure
from server.schedule import store
from server.schedule.model import MAX_ATTEMPTS
from tests.support import runs
from tests.support.leftovers import superuser
from tests.support.logged import events, logged
from tests.support.until import until_so
from tests.support.working import working

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import StringIO

    import pytest

    from server.db import Tx
    from server.schedule.model import Claim
    from tests.support.databases import Cluster
    from tests.support.live import Service

FULL = DBAPIError("SELECT 'CANARY'", None, DriverFailure(asyncpg.DiskFullError("CANARY of a row")))
LET_GO = "UPDATE job_runs SET lease_until = now() - interval '1 s' WHERE run_id = $1 AND state = 'RUNNING' AND attempt = $2"


async def test_a_run_that_the_database_interrupts_three_times_is_buried_and_the_log_says_by_what(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = runs.instead_of_training(monkeypatch)
    job.failure = FULL
    job.may_end.set()
    run = await runs.start(idle)
    with logged("worker") as stream:

        def said() -> int:
            return stream.getvalue().count("run.interrupted")

        async with working(idle), superuser(cluster, idle) as connection:
            ended = asyncio.ensure_future(runs.ended(idle, run.id))

            async def let_go() -> bool:
                # Again and again: a report that was on its way may renew the lease once more.
                await connection.execute(LET_GO, run.id, said())
                return ended.done()

            await until_so(let_go)
            buried = await ended
    assert (job.calls, said(), buried.state, runs.reason(buried)) == (MAX_ATTEMPTS, MAX_ATTEMPTS, pb.JOB_RUN_STATE_FAILED, "POISON")
    # No worker died, and nothing says so.
    assert buried.error.message == "interrupted, or lost its worker, 3 times; run.interrupted in the workers' logs says why"
    line = next(each for each in events(stream) if each["event"] == "run.interrupted")
    assert (line["error"], line["sqlstate"]) == ("DBAPIError", "53100")
    assert "workers/runs.py" in str(line["exception"])
    assert "CANARY" not in stream.getvalue()


async def test_a_run_that_cannot_be_ended_is_interrupted_like_any_other(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = runs.instead_of_training(monkeypatch)
    job.may_end.set()
    complete = store.complete

    async def complete_at_the_second_try(tx: Tx, held: Claim, result: Mapping[str, object]) -> bool:
        if job.calls == 1:
            raise FULL
        return await complete(tx, held, result)

    monkeypatch.setattr(store, "complete", complete_at_the_second_try)
    run = await runs.start(idle)
    with logged("worker") as stream:
        async with working(idle), superuser(cluster, idle) as connection:
            await until_so(lambda: _said(stream))
            ended = asyncio.ensure_future(runs.ended(idle, run.id))

            async def let_go() -> bool:
                await connection.execute(LET_GO, run.id, 1)
                return ended.done()

            await until_so(let_go)
            done = await ended
    assert (job.calls, done.state) == (2, pb.JOB_RUN_STATE_COMPLETED)
    assert [each["sqlstate"] for each in events(stream) if each["event"] == "run.interrupted"] == ["53100"]


async def test_a_run_whose_result_cannot_be_stored_fails_at_once(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    job = runs.instead_of_training(monkeypatch)
    job.may_end.set()
    job.result = {"loss": float("nan")}
    run = await runs.start(idle)
    async with working(idle):
        failed = await runs.ended(idle, run.id)
    assert (job.calls, failed.state, runs.reason(failed)) == (1, pb.JOB_RUN_STATE_FAILED, "INTERNAL")


async def _said(stream: StringIO) -> bool:
    return "run.interrupted" in stream.getvalue()
