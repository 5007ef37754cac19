"""More jobs than workers take up: what is started stays bounded, and what many processes change at once is changed in one order."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from server.db import Database
from server.db.engines import DbRole
from server.predictions.dispatch import store as dispatch
from server.predictions.dispatch.store import BATCH, Limit, Limits
from server.predictions.leases import store as leases
from server.predictions.model import JobFailure
from server.predictions.upkeep import store as upkeep
from server.predictions.upkeep.store import FIRST_PLACE, Place
from tests.queue.simulation import add_jobs, add_model
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.predictions.model import Lease, Start
    from tests.support.databases import Cluster

FREE = Limits(per_org=Limit(), per_model_type=Limit(), in_all=Limit(), hold=timedelta(minutes=5))
NEVER = 1_000
_LAPSE = "UPDATE prediction_jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'RUNNING' AND random() < 0.3"


async def _silent(_: tuple[str, ...]) -> None:
    return


@pytest.fixture
async def db(cluster: Cluster, database: str) -> AsyncIterator[Database]:
    """A database on which nothing dispatches but the test."""
    db = Database(environment.settings(cluster, database), _silent)
    yield db
    await db.close()


async def _claim(db: Database) -> list[Start]:
    async with db.platform(DbRole.DISPATCH) as tx:
        return list(await dispatch.claim(tx, FREE))


async def test_no_more_is_started_than_may_wait_for_workers_however_much_is_due(cluster: Cluster, database: str, db: Database) -> None:
    await add_jobs(cluster, database, await add_model(cluster, database), [(f"org-{number}", 200) for number in range(10)])
    started = [*await _claim(db), *await _claim(db)]
    assert len(started) == BATCH
    async with db.platform(DbRole.DISPATCH) as tx:
        assert len(await leases.acknowledge(tx, started[:10], timedelta(minutes=5))) == 10
    assert len(await _claim(db)) == 10
    assert await _claim(db) == []


async def test_what_workers_and_sweepers_change_at_once_is_changed_without_a_deadlock(
    cluster: Cluster, database: str, db: Database
) -> None:
    await add_jobs(cluster, database, await add_model(cluster, database), [(f"org-{number}", 20) for number in range(10)])
    dice = random.Random(40)
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)

    async def mixed(held: list[Lease]) -> None:
        some = dice.sample(held, len(held))
        async with db.platform(DbRole.DISPATCH) as tx:
            match dice.randrange(3):
                case 0:
                    await leases.renew(tx, some, timedelta(minutes=5))
                case 1:
                    await leases.hand_back(tx, some[:5])
                case _:
                    await leases.end(tx, {lease: JobFailure("INPUT_LOST", "made up") for lease in some[:2]})

    async def sweep() -> None:
        async with db.platform(DbRole.DISPATCH) as tx:
            await upkeep.sweep(tx, NEVER)

    async def acknowledge(starts: list[Start]) -> list[Lease]:
        async with db.platform(DbRole.DISPATCH) as tx:
            return list(await leases.acknowledge(tx, starts, timedelta(minutes=5)))

    for _ in range(30):
        starts = await _claim(db)
        halves = [dice.sample(starts, len(starts)) for _ in range(2)]
        held = [lease for taken in await asyncio.gather(*map(acknowledge, halves)) for lease in taken]
        assert len(held) == len(starts)
        await connection.execute(_LAPSE)
        await asyncio.gather(*(mixed(held) for _ in range(4)), sweep(), sweep())
        await connection.execute(_LAPSE)
        await sweep()
    await connection.close()


async def test_a_walk_over_the_waiting_jobs_meets_each_once(cluster: Cluster, database: str, db: Database) -> None:
    await add_jobs(cluster, database, await add_model(cluster, database), [(f"org-{number}", 50) for number in range(7)])
    met, place = [], FIRST_PLACE
    while True:
        async with db.platform(DbRole.DISPATCH) as tx:
            jobs, following = await upkeep.waiting(tx, place, 40)
        met += [job_id for _, job_id, _ in jobs]
        if following is None:
            break
        assert isinstance(following, Place)
        place = following
    assert len(met) == len(set(met)) == 350
