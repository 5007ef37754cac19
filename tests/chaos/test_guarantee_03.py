"""Guarantee 3: identical concurrent requests make one job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support import environment, live, trained
from tests.support.asking import accepted, typed
from tests.support.leftovers import superuser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("chaos")

ROUNDS = 20
REQUESTS = 500


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service without a worker."""
    settings = environment.settings(
        cluster, database, redis_url=f"{cluster.valkey.url}?db=8", tenant_concurrent_calls=REQUESTS, db_pool_size=32
    )
    async with live.running(settings, tmp_path, worker=False) as service:
        await trained.activate_model(service.app)
        yield service


async def _at_once(service: Service, org: str, seed: int, requests: int) -> tuple[set[str], int]:
    """Ask for the same many times at once; returns the jobs, and how many were told that theirs is new."""
    who = live.bearer(org)
    answers = await asyncio.gather(*(accepted(service, who, typed(seed)) for _ in range(requests)))
    return {answer.job_id for answer in answers}, sum(not answer.deduplicated for answer in answers)


async def test_guarantee_03_identical_concurrent_requests_make_one_job(cluster: Cluster, idle: Service, org: str) -> None:
    for seed in range(ROUNDS):
        jobs, new = await _at_once(idle, org, seed, REQUESTS)
        assert (len(jobs), new) == (1, 1)
    async with superuser(cluster, idle) as connection:
        assert await connection.fetchval("SELECT count(*) FROM prediction_jobs") == ROUNDS
        assert await connection.fetchval("SELECT count(*) FROM audit_entries WHERE action = 'prediction.requested'") == ROUNDS * REQUESTS
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE type = 'prediction.requested'") == ROUNDS
    print(f"guarantee 3: {ROUNDS} x {REQUESTS} identical requests, {ROUNDS} jobs")


async def test_guarantee_03_control_without_the_unique_constraint_there_are_more(cluster: Cluster, idle: Service, org: str) -> None:
    async with superuser(cluster, idle) as connection:
        name = await connection.fetchval("SELECT conname FROM pg_constraint WHERE conrelid = 'prediction_jobs'::regclass AND contype = 'u'")
        await connection.execute(f"ALTER TABLE prediction_jobs DROP CONSTRAINT {name}")
        for seed in range(ROUNDS):
            # Not every path of the code copes with twins; what counts is that there are some, soon or late.
            await asyncio.gather(*(accepted(idle, live.bearer(org), typed(seed)) for _ in range(50)), return_exceptions=True)
            if await connection.fetchval("SELECT count(*) FROM prediction_jobs") > seed + 1:
                return
    pytest.fail("as many jobs as different requests, without the constraint")
