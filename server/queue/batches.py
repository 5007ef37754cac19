"""Commands to Valkey that are asked for at the same time go in one round trip.

What always holds: commands go in the order they were asked for, one batch at a time over one connection, so that ten
thousand calls at once neither open ten thousand connections nor wait for each other's turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

    Argument: TypeAlias = str | bytes | int
    Answer: TypeAlias = bytes | int | bool | None

MOST_AT_ONCE = 500
"""Most commands of one round trip; a larger one would take the answer of the first too long."""


class Batches:
    """Collects commands while a batch is on its way."""

    def __init__(self, client: Redis, timeout_seconds: float) -> None:
        """Send over `client`; a command that has no answer after `timeout_seconds` has failed."""
        self._client = client
        self._timeout = timeout_seconds
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Answer]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def run(self, *command: Argument) -> Answer:
        """Run a command and return its answer.

        Raises:
            RedisError, OSError, TimeoutError: it failed, or nobody knows whether it ran.

        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name="valkey")
        async with asyncio.timeout(self._timeout):
            return await answer

    async def close(self) -> None:
        """Give up what is on its way."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                # Whoever gave up meanwhile is not sent for.
                await self._send([(command, answer) for command, answer in batch if not answer.done()])
        finally:
            self._sending = None

    async def _send(self, batch: list[tuple[tuple[Argument, ...], asyncio.Future[Answer]]]) -> None:
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command, _ in batch:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            answers = [error] * len(batch)
        for (_, answer), got in zip(batch, answers, strict=True):
            if answer.done():
                continue
            if isinstance(got, Exception):
                answer.set_exception(got)
            else:
                answer.set_result(got)
