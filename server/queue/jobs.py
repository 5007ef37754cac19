"""Handing work to arq: ids only, for arq copies arguments into keys and logs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arq.connections import ArqRedis

from server.queue.valkey import TIMEOUT_SECONDS, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

PREDICTIONS = "analytics:predictions"
RUNS = "analytics:runs"
"""Queues. They are apart because arq keeps a job's key as long as the longest time-out of any function of its queue."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a worker's function: `name` of the function, `key` that makes it unique, ids as arguments."""

    queue: str
    name: str
    key: str
    arguments: tuple[str | int, ...]


class Queue:
    """arq's producer side."""

    def __init__(self, url: str) -> None:
        """Prepare the pool; the first use connects."""
        self._redis = ArqRedis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry_on_timeout=False,
        )
        self._redis.job_serializer = serialize
        self._redis.job_deserializer = deserialize

    async def put(self, jobs: Sequence[Job]) -> None:
        """Enqueue jobs; one with the key of a waiting job is ignored."""
        with translated():
            for job in jobs:
                await self._redis.enqueue_job(job.name, *job.arguments, _job_id=job.key, _queue_name=job.queue)

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
