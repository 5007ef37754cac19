"""A worker that stood still for longer than its lease and wakes: what it finishes then is dropped."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import predictions_pb2 as pb

from tests.chaos import history
from tests.support.until import until

if TYPE_CHECKING:
    from tests.support.stack import Stack

pytestmark = pytest.mark.xdist_group("chaos")

UNFENCED = str(Path(__file__).parent / "unfenced_worker.py")
_ENDS = "SELECT count(*) FROM job_history WHERE job_id = $1 AND state = 'COMPLETED'"
_EVENTS = (
    "SELECT count(*) FROM (SELECT type, payload FROM outbox UNION ALL SELECT type, payload FROM events) told"
    " WHERE payload->>'job_id' = $1 AND type = 'prediction.completed'"
)


async def _ends_of_a_job_whose_worker_slept(bare: Stack, org: str, *program: str) -> tuple[int, int]:
    """Stop a worker between computing and finishing, let another one do the job, wake it; returns ends and events of the job."""
    held = bare.folder / "temporary" / f"finished-{org}"
    armed = {"ANALYTICS_FAILPOINTS": f"worker.computed=stop,worker.finished_before_commit=hold:{held}"}
    _, sleeper = await asyncio.gather(bare.server(), bare.worker(*program, **armed))
    job_id = (await bare.ask(org, 1)).job_id
    await until(sleeper.stands_still, 20)
    other = await bare.worker()
    job = await bare.ended(org, job_id)
    assert job.state == pb.PREDICTION_JOB_STATE_COMPLETED
    assert job.attempt > 1
    sleeper.send(signal.SIGCONT)
    await until(held.with_name(f"{held.name}.reached").exists, 20)
    held.touch()
    # It is as good as any other afterwards.
    await other.kill()
    after = await bare.ask(org, 2)
    assert (await bare.ended(org, after.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    assert not sleeper.gone.is_set()
    async with history.connected(bare) as connection:
        return await connection.fetchval(_ENDS, job_id), await connection.fetchval(_EVENTS, job_id)


async def test_guarantee_01_the_finish_of_a_worker_that_slept_through_its_lease_is_dropped(bare: Stack, org: str) -> None:
    assert await _ends_of_a_job_whose_worker_slept(bare, org) == (1, 1)


async def test_guarantee_01_control_a_worker_without_the_lease_check_ends_a_job_twice(bare: Stack, org: str) -> None:
    ends, _ = await _ends_of_a_job_whose_worker_slept(bare, org, UNFENCED)
    assert ends == 2


async def test_a_worker_that_stands_still_in_the_middle_of_a_claim_holds_up_the_others_for_seconds_only(bare: Stack, org: str) -> None:
    _, sleeper = await asyncio.gather(bare.server(), bare.worker(ANALYTICS_FAILPOINTS="dispatch.claimed_before_commit=stop"))
    asked = [await bare.ask(org, seed) for seed in (1, 2)]
    await until(sleeper.stands_still, 20)
    await bare.worker()
    # Its session had the dispatchers' lock; PostgreSQL ends it, and with it the claim.
    jobs = [await bare.ended(org, answer.job_id) for answer in asked]
    assert [job.state for job in jobs] == [pb.PREDICTION_JOB_STATE_COMPLETED] * 2
    sleeper.send(signal.SIGCONT)
    after = await bare.ask(org, 3)
    assert (await bare.ended(org, after.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    assert not sleeper.gone.is_set()
