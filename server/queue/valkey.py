"""The connection to Valkey: lazy, bounded in time, and with one kind of failure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.queue.batches import Batches

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXTENDED_AT_ONCE = 500


class QueueUnavailable(Exception):
    """Valkey did not answer in time or not at all."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client library's failures into `QueueUnavailable`."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise QueueUnavailable(str(error)) from error


class Valkey:
    """Short-lived values and messages."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Prepare the pool; the first use connects. Whatever has no answer after `timeout_seconds` has failed."""
        self.client = Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, health_check_interval=30, retry_on_timeout=False
        )
        self._batches = Batches(self.client, timeout_seconds)

    async def put(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Keep `value` for `ttl_seconds`."""
        with translated():
            await self._batches.run("SET", key, value, "EX", ttl_seconds)

    async def get(self, key: str) -> bytes | None:
        """Return a kept value."""
        with translated():
            value = await self._batches.run("GET", key)
        return value if isinstance(value, bytes) else None

    async def forget(self, *keys: str) -> None:
        """Drop kept values."""
        with translated():
            await self._batches.run("DEL", *keys)

    async def extend(self, keys: list[str], ttl_seconds: int) -> None:
        """Let kept values live for `ttl_seconds` from now on; of many some at a time, so that others have their turn."""
        for begin in range(0, len(keys), _EXTENDED_AT_ONCE):
            with translated():
                async with self.client.pipeline(transaction=False) as pipeline:
                    for key in keys[begin : begin + _EXTENDED_AT_ONCE]:
                        pipeline.expire(key, ttl_seconds)
                    await pipeline.execute()

    async def publish(self, channel: str, message: str) -> None:
        """Send a message to whoever listens now."""
        with translated():
            await self._batches.run("PUBLISH", channel, message)

    async def ping(self) -> bool:
        """Whether Valkey answers."""
        try:
            with translated():
                await self.client.ping()
        except QueueUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Close the pool."""
        await self._batches.close()
        await self.client.aclose()
