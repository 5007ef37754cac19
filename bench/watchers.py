"""Statements of the server while nobody watches a job and while a thousand do."""

from __future__ import annotations

import asyncio
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
STATISTICS_SECONDS = 1.5
MOST_MORE = 2.0
"""Transactions a second that all watchers together may add: the batched look once a second, and noise."""

_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


async def watchers(service: Service) -> list[Row]:
    """Count the transactions of the database in a window without watchers and in one with them."""
    org = service.tenant("watched")
    number = service.some(WATCHERS)
    job_ids = [await org.later(seed, AHEAD_SECONDS) for seed in range(JOBS)]
    without = await _per_second(service)
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(CONNECTIONS):
            options = [("grpc.use_local_subchannel_pool", 1)]
            opened = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{service.server.port}", options=options))
            tenant = service.on(opened, "watched")
            streams += [tenant.watch(job_ids[each % JOBS]) for each in range(number // CONNECTIONS)]
        await in_lanes(50, [stream.read for stream in streams])
        await asyncio.sleep(STATISTICS_SECONDS)
        watched = await _per_second(service)
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
            note=f"{WINDOW_SECONDS:.0f} s each, counted by pg_stat_database",
        )
    ]


async def _per_second(service: Service) -> float:
    began = await service.count(_TRANSACTIONS)
    await asyncio.sleep(WINDOW_SECONDS)
    return (await service.count(_TRANSACTIONS) - began) / WINDOW_SECONDS
