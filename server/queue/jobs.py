"""Handing work to arq: ids only, for arq copies arguments into keys and logs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job

from server.queue.valkey import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

PREDICTIONS = "analytics:predictions:2"
"""The queue of predictions, apart from any other: arq keeps a job's key as long as the longest time-out of its queue.

The number is that of the arguments' form. A release with another form has a queue of its own, so that workers of both
releases run side by side, each on what its own dispatcher hands over.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a worker's function: `name` of the function, `key` that makes it unique, groups of ids as arguments."""

    queue: str
    name: str
    key: str
    arguments: tuple[tuple[str | int, ...], ...]


class Queue:
    """arq's producer side."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Prepare the pool; the first use connects. Whatever has no answer after `timeout_seconds` has failed."""
        self._redis = ArqRedis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry_on_timeout=False,
        )
        self._redis.job_serializer = serialize
        self._redis.job_deserializer = deserialize

    async def put(self, jobs: Sequence[Job]) -> None:
        """Enqueue jobs in one round trip; the place of one that waits already stays.

        What `ArqRedis.enqueue_job` does with three round trips per job, without its look for a job of the same key: ours
        are unique.
        """
        if not jobs:
            return
        now = time.time_ns() // 1_000_000
        places = {queue: {job.key: now for job in jobs if job.queue == queue} for queue in {job.queue for job in jobs}}
        with translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for job in jobs:
                    content = serialize_job(job.name, job.arguments, {}, None, now, serializer=serialize)
                    pipeline.psetex(job_key_prefix + job.key, self._redis.expires_extra_ms, content)
                # After the contents, so that no worker meets a place without one.
                for queue, keys in places.items():
                    pipeline.zadd(queue, keys, nx=True)
                await pipeline.execute()

    async def check(self) -> None:
        """Raise `QueueUnavailable` when Valkey does not answer."""
        with translated():
            await self._redis.ping()

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()


def serialize(message: dict[str, object]) -> bytes:
    """Write arq's message as JSON; arq's own default is pickle, which runs what it reads."""
    return json.dumps(message, default=str).encode()


def deserialize(content: bytes) -> dict[str, object]:
    """Read what `serialize` wrote."""
    message: dict[str, object] = json.loads(content)
    return message
