"""Statements of the server while nobody watches a job and while a thousand do."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from bench.asking import in_lanes
from bench.measure import Row

if TYPE_CHECKING:
    from bench.context import Service

WATCHERS = 1_000
JOBS = 100
CONNECTIONS = 4
AHEAD_SECONDS = 20_000
WINDOW_SECONDS = 22.0
"""Longer than the heartbeat, so that what a heartbeat costs is in it."""
SETTLE_SECONDS = 11.0
"""After this a session that fell idle has told its statistics (PostgreSQL: 10 s), and none of what was before is counted."""
MOST_MORE = 2.0
"""Transactions a second that all watchers together may add: the batched look once a second, and noise."""

_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


async def watchers(service: Service) -> list[Row]:
    """Count the transactions of the database in a window without watchers, and from before they come until all had a heartbeat.

    One load of each watcher, of the state that it is told first, is left out.
    """
    org = service.tenant("watched")
    number = service.some(WATCHERS)
    job_ids = [await org.later(seed, AHEAD_SECONDS) for seed in range(JOBS)]
    await asyncio.sleep(SETTLE_SECONDS)
    start = await _count(service)
    await asyncio.sleep(WINDOW_SECONDS)
    without = _per_second(start, before := await _count(service))
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(CONNECTIONS):
            options = [("grpc.use_local_subchannel_pool", 1)]
            opened = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{service.server.port}", options=options))
            tenant = service.on(opened, "watched")
            streams += [tenant.watch(job_ids[each % JOBS]) for each in range(number // CONNECTIONS)]
        await in_lanes(50, [stream.read for stream in streams])
        await asyncio.sleep(WINDOW_SECONDS + SETTLE_SECONDS)
        watched = _per_second(before, await _count(service), len(streams))
        alive = sum(not stream.done() for stream in streams)
        for stream in streams:
            stream.cancel()
    assert alive == len(streams), "some watches ended"
    return [
        Row(
            f"{len(streams):,} watchers, transactions of the database",
            f"{watched:.1f}/s",
            f"without watchers {without:.1f}/s",
            watched / without,
            target="none per watcher",
            met=watched - without <= MOST_MORE,
            note=f"{WINDOW_SECONDS:.0f} s without and {WINDOW_SECONDS + SETTLE_SECONDS:.0f} s with, but for the first load of each watch; "
            "counted by pg_stat_database",
        )
    ]


async def _count(service: Service) -> tuple[float, int]:
    """Return the time in seconds and the transactions so far."""
    return time.monotonic(), await service.count(_TRANSACTIONS)


def _per_second(before: tuple[float, int], after: tuple[float, int], without: int = 0) -> float:
    return (after[1] - before[1] - without) / (after[0] - before[0])
