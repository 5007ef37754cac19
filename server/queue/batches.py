"""Commands to Valkey that are asked for at the same time go in one round trip.

What always holds: commands go in the order they were asked for, one batch at a time over one connection, so that ten
thousand calls at once neither open ten thousand connections nor wait for each other's turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from server.lifecycle import end

if TYPE_CHECKING:
    from redis.asyncio import Redis

    Argument: TypeAlias = str | bytes | int
    Answer: TypeAlias = bytes | int | bool | None
    Asked: TypeAlias = tuple[tuple[Argument, ...], asyncio.Future[Answer]]

MOST_AT_ONCE = 500
"""Most commands of one round trip; a larger one would take the answer of the first too long."""


class Batches:
    """Collects commands while a batch is on its way."""

    def __init__(self, client: Redis, timeout_seconds: float) -> None:
        """Send over `client`; a batch that has no answer after `timeout_seconds` has failed, and what waits behind it as well."""
        self._client = client
        self._timeout = timeout_seconds
        self._waiting: list[Asked] = []
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
        return await answer

    async def close(self) -> None:
        """Give up what is on its way."""
        if self._sending is not None:
            await end(self._sending)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                try:
                    # Whoever gave up meanwhile is not sent for.
                    await self._send([one for one in batch if not one[1].done()])
                except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
                    # What waits would meet the same silence, one after the other.
                    self._give_up(batch, error)
                except asyncio.CancelledError:
                    self._give_up(batch, ConnectionError("closed"))
                    raise
        finally:
            self._sending = None

    def _give_up(self, batch: list[Asked], error: Exception) -> None:
        for _, answer in (*batch, *self._waiting):
            _settle(answer, error)
        self._waiting = []

    async def _send(self, batch: list[Asked]) -> None:
        async with asyncio.timeout(self._timeout), self._client.pipeline(transaction=False) as pipeline:
            for command, _ in batch:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        for (_, answer), got in zip(batch, answers, strict=True):
            _settle(answer, got)


def _settle(answer: asyncio.Future[Answer], got: Answer | Exception) -> None:
    if answer.done():
        return
    if isinstance(got, Exception):
        answer.set_exception(got)
    else:
        answer.set_result(got)
