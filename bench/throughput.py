"""Jobs per second from request to COMPLETED with the limits lifted and every guarantee on, beside jobs that do nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from typing import TYPE_CHECKING

from bench import bare_arq
from bench.asking import in_lanes
from bench.measure import Row, in_turns
from bench.stack import process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from arq.connections import ArqRedis

    from bench.context import Service

JOBS = 2_000
BARE_JOBS = 6_000
BATCH = 100
ORGS = 20
LANES = 32
ROUNDS = 3
TARGET = 400.0
GOAL = 1_000.0
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 120
FIRST_SEED = 10_000_000

_UNFINISHED = "SELECT count(*) FROM prediction_jobs WHERE state IN ('QUEUED', 'RUNNING')"
_COMPLETED = "SELECT count(*) FROM prediction_jobs WHERE state = 'COMPLETED'"
_AUDITED = "SELECT count(*) FROM audit_entries WHERE action = 'prediction.requested'"
_seeds = itertools.count(FIRST_SEED)


async def throughput(service: Service) -> list[Row]:
    """Measure calls of one prediction each, then calls of many."""
    redis = bare_arq.pool(service.made.valkey.url)
    with process(service.made, "bench.bare_arq"):
        bare = partial(_bare, redis, service.some(BARE_JOBS))
        rows = [
            await _row(service, "one per call", partial(_singly, service), bare),
            await _row(service, f"{BATCH} per call", partial(_in_batches, service), bare),
        ]
    await redis.aclose()
    return rows


async def _row(service: Service, name: str, ask: Callable[[int], Awaitable[None]], bare: Callable[[], Awaitable[float]]) -> Row:
    jobs = service.some(JOBS // BATCH) * BATCH
    pair = await in_turns(ROUNDS, partial(_ours, service, jobs, ask), bare)
    return Row(
        f"requests to COMPLETED, limits lifted, {name}",
        f"{pair.our_median:.0f} jobs/s",
        f"arq without work {pair.bare_median:.0f} jobs/s",
        pair.ratio,
        pair.spread,
        f">= {TARGET:.0f} jobs/s (goal {GOAL:,.0f})",
        pair.our_median >= TARGET,
        f"{jobs} jobs of {ORGS} organizations a round; each completed once and audited once",
    )


async def _ours(service: Service, jobs: int, ask: Callable[[int], Awaitable[None]]) -> float:
    completed, audited = await service.count(_COMPLETED), await service.count(_AUDITED)
    began = time.perf_counter()
    await ask(jobs)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await service.count(_UNFINISHED):  # noqa: ASYNC110 - other processes end them
            await asyncio.sleep(POLL_SECONDS)
    took = time.perf_counter() - began
    assert await service.count(_COMPLETED) == completed + jobs, "a job was lost or failed"
    assert await service.count(_AUDITED) == audited + jobs, "a request was not audited, or twice"
    return jobs / took


async def _singly(service: Service, jobs: int) -> None:
    tenants = [service.tenant(f"busy-{number}") for number in range(ORGS)]
    await in_lanes(LANES, [partial(tenants[number % ORGS].request, next(_seeds)) for number in range(jobs)])


async def _in_batches(service: Service, jobs: int) -> None:
    tenants = [service.tenant(f"busy-{number}") for number in range(ORGS)]
    calls = [partial(tenants[number % ORGS].batch, list(itertools.islice(_seeds, BATCH))) for number in range(jobs // BATCH)]
    await in_lanes(4, calls)


async def _bare(redis: ArqRedis, jobs: int) -> float:
    began = time.perf_counter()
    await bare_arq.run_all(redis, jobs, LANES)
    return jobs / (time.perf_counter() - began)
