"""Wake-ups between processes: a topic rings when something about it was committed.

One subscription per process. A ring may be lost (Valkey restarts), so waiting always has a time limit after which the
waiter looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from server import failpoints
from server.queue.valkey import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.queue.valkey import Valkey

_CHANNEL = "analytics:bell"
_RECONNECT_SECONDS = 0.5
_log = structlog.get_logger(__name__)


class Bell:
    """Rings topics, and wakes who waits for one."""

    def __init__(self, valkey: Valkey) -> None:
        """Nothing is heard from other processes before `listen` runs."""
        self._valkey = valkey
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def ring(self, topics: tuple[str, ...]) -> None:
        """Wake the waiters of the topics, here and in other processes; a silent Valkey is no error, waiters look again."""
        for topic in topics:
            self.wake(topic)
        try:
            await self._valkey.publish(_CHANNEL, "\n".join(topics))
        except QueueUnavailable:
            _log.warning("bell.unheard", topics=len(topics))
        await failpoints.passing("bell.rung")

    @contextmanager
    def waiting(self, topic: str) -> Iterator[asyncio.Event]:
        """Register an event that is set at the next ring of `topic`; register first, then look, then wait."""
        event = asyncio.Event()
        self._waiting.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            events = self._waiting[topic]
            events.discard(event)
            if not events:
                del self._waiting[topic]

    async def listen(self) -> None:
        """Hear the rings of other processes, for as long as the process lives."""
        while True:
            try:
                await self._hear()
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("bell.disconnected", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - logged with its traceback; a process that hears nothing any more would be slow for ever
                _log.exception("bell.broken")
            self._wake_all()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _hear(self) -> None:
        pubsub = self._valkey.client.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(_CHANNEL)
            # Whatever rang between two connections was not heard: everybody looks once.
            self._wake_all()
            while True:
                message = await pubsub.get_message(timeout=10.0)
                if message is not None:
                    for topic in message["data"].decode().split("\n"):
                        self.wake(topic)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()

    def wake(self, topic: str) -> None:
        """Wake the waiters of a topic in this process only."""
        for event in self._waiting.get(topic, ()):
            event.set()

    def _wake_all(self) -> None:
        for topic in list(self._waiting):
            self.wake(topic)


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for a ring, at most `seconds`; then clear it for the next."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
