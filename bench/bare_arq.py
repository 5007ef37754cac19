"""The bare queue: `python -m bench.bare_arq` is a worker whose one job answers and does nothing else.

Set up as ours is: JSON, ids as arguments, no results kept, the same poll delay.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from uuid import uuid4

from arq.connections import ArqRedis
from arq.worker import Worker, func

from bench.stack import CONCURRENCY
from server.lifecycle import announce_ready
from server.queue.jobs import deserialize, serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

QUEUE = "bench:bare"
POLL_SECONDS = 0.01
PATIENCE_SECONDS = 60


def pool(url: str) -> ArqRedis:
    """Connect as the producer of ours does."""
    made: ArqRedis = ArqRedis.from_url(url)
    made.job_serializer, made.job_deserializer = serialize, deserialize
    return made


async def nothing(_: dict[str, object], org: str, job_id: str) -> None:
    """Take the arguments of a job and be done."""
    del org, job_id


async def answer(ctx: dict[str, ArqRedis], org: str, job_id: str) -> None:
    """Tell the asker that its job ran."""
    del org
    await ctx["redis"].execute_command("LPUSH", job_id, b"ran")  # type: ignore[no-untyped-call]  # unlike `lpush` it is only awaitable


async def round_trip(redis: ArqRedis) -> None:
    """Enqueue a job and wait until it ran."""
    job_id = f"bench:{uuid4()}"
    await redis.enqueue_job("answer", "org", job_id, _job_id=job_id, _queue_name=QUEUE)
    await redis.execute_command("BLPOP", job_id, PATIENCE_SECONDS)  # type: ignore[no-untyped-call]  # as above


async def run_all(redis: ArqRedis, jobs: int, lanes: int) -> None:
    """Enqueue jobs that do nothing and wait until the queue is empty."""
    left = iter(range(jobs))

    async def lane() -> None:
        for _ in left:
            job_id = str(uuid4())
            await redis.enqueue_job("nothing", "org", job_id, _job_id=job_id, _queue_name=QUEUE)

    await asyncio.gather(*(lane() for _ in range(lanes)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await redis.zcard(QUEUE):  # noqa: ASYNC110 - another process empties it
            await asyncio.sleep(POLL_SECONDS)


async def work(redis_url: str, functions: Sequence[str]) -> None:
    """Work until killed."""
    known = {"nothing": nothing, "answer": answer}
    worker = Worker(
        functions=[func(known[name], name=name, keep_result=0, max_tries=1) for name in functions],  # type: ignore[arg-type]  # arq's own context type says less
        queue_name=QUEUE,
        redis_pool=pool(redis_url),
        handle_signals=False,
        max_jobs=CONCURRENCY,
        poll_delay=POLL_SECONDS,
        keep_result=0,
        retry_jobs=False,
        job_serializer=serialize,
        job_deserializer=deserialize,
        log_results=False,
    )
    announce_ready(0)
    await worker.async_run()


if __name__ == "__main__":
    import uvloop

    uvloop.run(work(os.environ["ANALYTICS_REDIS_URL"], ("nothing", "answer")))
