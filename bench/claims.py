"""What starting a job costs the dispatcher with a long queue and with a short one, over as many organizations.

Both tables hold as many jobs; where the queue is short, the others have ended, as most jobs of a service have. So what is
compared is the length of the queue, and not that of the table.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import asyncpg

from bench.measure import Row, in_turns
from server.db import Database
from server.db.engines import DbRole
from server.predictions.dispatch import store
from server.predictions.dispatch.loop import limits
from tests.queue.simulation import add_jobs, add_model
from tests.support.databases import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.context import Service
    from bench.stack import Databases
    from server.predictions.dispatch.store import Limits

ORGS = 1_000
LONG, SHORT = 100_000, 1_000
CLAIMS = 10
ROUNDS = 15
MOST = 1.25
"""Ratio up to which the two cost the same: the noise of a shared machine."""


_END = """
UPDATE prediction_jobs p SET state = 'CANCELLED'
FROM (SELECT org_id, job_id, row_number() OVER (PARTITION BY org_id ORDER BY schedule_time, job_id) AS place FROM prediction_jobs) q
WHERE p.org_id = q.org_id AND p.job_id = q.job_id AND q.place > $1
"""
_PUT_BACK = """
UPDATE prediction_jobs SET state = 'QUEUED', lease_token = NULL, lease_until = NULL, started_at = NULL WHERE state = 'RUNNING';
DELETE FROM prediction_starts;
"""


@dataclass(frozen=True, slots=True)
class _Queue:
    """A database with a queue, and the superuser's connection to it."""

    db: Database
    admin: asyncpg.Connection


async def claims(service: Service) -> list[Row]:
    """Claim on two databases in turns, under the limits of two per organization and under 50 a minute as well."""
    async with _queue(service.made, "long", LONG) as long, _queue(service.made, "short", SHORT) as short:
        shipped = limits(service.made.settings())
        two_each = replace(shipped, per_org=store.Limit(running=2))
        few = replace(two_each, in_all=store.Limit(starts_per_minute=50))
        return [
            await _row(service, "two per organization", two_each, long, short),
            await _row(service, "two per organization, 50 in 60 s", few, long, short),
        ]


async def _row(service: Service, name: str, bounds: Limits, long: _Queue, short: _Queue) -> Row:
    times = service.some(CLAIMS)
    pair = await in_turns(ROUNDS, partial(_claim, long, bounds, times), partial(_claim, short, bounds, times))
    return Row(
        f"start of a job, {LONG:,} queued, {name}",
        f"{pair.our_median * 1e6:.0f} us",
        f"{SHORT:,} queued {pair.bare_median * 1e6:.0f} us",
        pair.ratio,
        pair.spread,
        f"no more than with {SHORT:,} (<= {MOST}x)",
        pair.ratio <= MOST,
        f"{ORGS:,} organizations in both",
    )


async def _claim(queue: _Queue, bounds: Limits, times: int) -> float:
    """Return seconds per start, of transactions as the dispatcher makes them; both queues are vacuumed and warm before."""
    await queue.admin.execute("VACUUM")
    await _start(queue, bounds)
    taken = [await _start(queue, bounds) for _ in range(times)]
    return sum(seconds for seconds, _ in taken) / sum(starts for _, starts in taken)


async def _start(queue: _Queue, bounds: Limits) -> tuple[float, int]:
    """Claim once; returns seconds and starts. The started jobs are put back, so that the next claim meets as long a queue."""
    began = time.perf_counter()
    async with queue.db.platform(DbRole.DISPATCH) as tx:
        starts = len(await store.claim(tx, bounds))
        await store.seconds_to_next(tx)
    took = time.perf_counter() - began
    await queue.admin.execute(_PUT_BACK)
    return took, starts


@asynccontextmanager
async def _queue(made: Databases, name: str, jobs: int) -> AsyncIterator[_Queue]:
    """Make a database with a queue."""
    await made.prepare(name)
    orgs = [(f"org-{number:04}", LONG // ORGS) for number in range(ORGS)]
    cluster = Cluster(made.postgres, made.valkey)
    await add_jobs(cluster, name, await add_model(cluster, name), orgs)
    admin = await asyncpg.connect(made.postgres.admin_url, database=name)
    await admin.execute(_END, jobs // ORGS)
    await admin.execute("CLUSTER prediction_jobs USING ix_prediction_jobs_newest")
    await admin.execute("VACUUM ANALYZE")
    db = Database(made.settings(name), _silent)
    try:
        yield _Queue(db, admin)
    finally:
        await admin.close()
        await db.close()
        await made.drop(name)


async def _silent(_: tuple[str, ...]) -> None:
    """Nobody waits."""
