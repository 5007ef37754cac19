"""A run that errors of the database interrupt: taken again, buried in the end, and why is in the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
from analytics.admin.v1 import operations_service_pb2 as pb
from sqlalchemy.exc import DBAPIError

from server.db.statements import DriverFailure
from server.schedule.model import MAX_ATTEMPTS
from tests.support import runs
from tests.support.leftovers import superuser
from tests.support.logged import events, logged
from tests.support.until import until_so
from tests.support.working import working

if TYPE_CHECKING:
    import pytest

    from tests.support.databases import Cluster
    from tests.support.live import Service

LET_GO = "UPDATE job_runs SET lease_until = now() - interval '1 s' WHERE run_id = $1 AND state = 'RUNNING' AND attempt = $2"


async def test_a_run_that_the_database_interrupts_three_times_is_buried_and_the_log_says_by_what(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = runs.instead_of_training(monkeypatch)
    job.failure = DBAPIError("SELECT 'CANARY'", None, DriverFailure(asyncpg.DiskFullError("CANARY of a row")))
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
