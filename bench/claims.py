"""What starting a job costs the dispatcher with a long queue and with a short one, over as many organizations."""

from __future__ import annotations

import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import replace
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
CLAIMS = 20
ROUNDS = 5
MOST = 1.25
"""Ratio up to which the two cost the same: the noise of a shared machine."""


class _Undo(Exception):
    """Rolls a claim back, so that the next one meets the same queue."""


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


async def _row(service: Service, name: str, bounds: Limits, long: Database, short: Database) -> Row:
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


async def _claim(db: Database, bounds: Limits, times: int) -> float:
    """Return seconds per start."""
    starts = 0
    began = time.perf_counter()
    for _ in range(times):
        with contextlib.suppress(_Undo):
            async with db.platform(DbRole.DISPATCH) as tx:
                starts += len(await store.claim(tx, bounds))
                raise _Undo
    return (time.perf_counter() - began) / starts


@asynccontextmanager
async def _queue(made: Databases, name: str, jobs: int) -> AsyncIterator[Database]:
    """Make a database with a queue."""
    await made.prepare(name)
    orgs = [(f"org-{number:04}", jobs // ORGS) for number in range(ORGS)]
    cluster = Cluster(made.postgres, made.valkey)
    await add_jobs(cluster, name, await add_model(cluster, name), orgs)
    admin = await asyncpg.connect(made.postgres.admin_url, database=name)
    await admin.execute("VACUUM ANALYZE")
    await admin.close()
    db = Database(made.settings(name), _silent)
    try:
        yield db
    finally:
        await db.close()
        await made.drop(name)


async def _silent(_: tuple[str, ...]) -> None:
    """Nobody waits."""
