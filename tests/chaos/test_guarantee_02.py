"""Guarantee 2: what a killed worker was running is run again within the lease and ten seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import predictions_pb2 as pb

from server.predictions.upkeep.loop import Upkeep
from tests.chaos import history
from tests.support import environment, live, trained
from tests.support.asking import accepted, job, typed
from tests.support.leftovers import superuser
from tests.support.stack import LEASE_SECONDS
from tests.support.until import until_so

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.stack import Stack

pytestmark = pytest.mark.xdist_group("chaos")

KILLS = 3
AGAIN_SECONDS = LEASE_SECONDS + 10
_AGAIN = """
SELECT extract(epoch FROM min(at) - $2)::float8 AS seconds FROM job_history
WHERE job_id = ANY ($1) AND state = 'COMPLETED' AND at > $2 GROUP BY job_id
"""


async def test_guarantee_02_jobs_of_a_killed_worker_are_run_again_within_the_lease_and_ten_seconds(bare: Stack, org: str) -> None:
    waited: list[float] = []
    await asyncio.gather(bare.server(), bare.worker())
    for kill in range(KILLS):
        doomed = await bare.worker(ANALYTICS_FAILPOINTS="worker.acknowledged=kill@3")
        batch = 0
        while not doomed.gone.is_set():
            answers = [await bare.ask(f"{org}-{number % 8}", 10_000 * kill + 100 * batch + number) for number in range(16)]
            batch += 1
            await asyncio.gather(*(bare.ended(f"{org}-{number % 8}", answer.job_id) for number, answer in enumerate(answers)))
        async with history.connected(bare) as connection:
            rows = await connection.fetch("SELECT at, job_id FROM job_history WHERE state = 'QUEUED' AND state_before = 'RUNNING'")
            taken_back = [row["job_id"] for row in rows]
            died = await connection.fetchval(
                "SELECT max(at) FROM job_history WHERE state = 'RUNNING' AND attempt = 1 AND job_id = ANY ($1)", taken_back
            )
            waited += [row["seconds"] for row in await connection.fetch(_AGAIN, taken_back, died)]
    print(f"guarantee 2: {len(waited)} jobs of {KILLS} killed workers, ended after {min(waited):.1f} to {max(waited):.1f} s at the latest")
    assert len(waited) >= KILLS
    assert max(waited) < AGAIN_SECONDS


async def test_guarantee_02_control_without_the_sweeper_an_abandoned_job_stays_where_it_is(
    cluster: Cluster, database: str, tmp_path: Path, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0

    async def no_sweep(_upkeep: Upkeep) -> None:
        nonlocal rounds
        rounds += 1

    who = live.bearer(org)
    settings = environment.settings(cluster, database, redis_url=f"{cluster.valkey.url}?db=7")
    async with live.running(settings, tmp_path, worker=False) as service, superuser(cluster, service) as connection:
        await trained.activate_model(service.app)
        with monkeypatch.context() as broken:
            broken.setattr(Upkeep, "sweep", no_sweep)
            job_id = (await accepted(service, who, typed(1))).job_id

            async def runs() -> bool:
                return (await job(service, who, job_id)).state == pb.PREDICTION_JOB_STATE_RUNNING

            await until_so(runs)
            await connection.execute("UPDATE prediction_jobs SET lease_until = clock_timestamp() - interval '1 minute'")
            seen = rounds

            async def passed() -> bool:
                return rounds >= seen + 2 and await runs()

            await until_so(passed)
            assert (await job(service, who, job_id)).attempt == 1

        async def again() -> bool:
            return (await job(service, who, job_id)).attempt == 2

        await until_so(again)
