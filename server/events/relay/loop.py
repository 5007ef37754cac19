"""The relay: a loop in every worker, of which one at a time publishes; woken by commits, at least once a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.db.engines import DbRole
from server.events.model import OUTBOX_TOPIC
from server.events.relay import store
from server.queue.bell import wait
from server.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Database, ReadTx, Tx
    from server.identity import OrgId
    from server.queue import Bell

IDLE_SECONDS = 1.0
PURGE_EVERY_SECONDS = 60.0
_PAUSES_PER_ROUND = 2
_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.05
"""Where it rang during a round, the pause after it is as many times as long as the round took, within these bounds, so that under
load events are published together and the database has time for the changes they tell of. A ring after silence is answered
at once."""
_ORGANIZATIONS = 1_000
_log = structlog.get_logger(__name__)


class Organizations(Protocol):
    """Lists organizations; the relay stands below the slice that knows them."""

    async def __call__(self, tx: ReadTx, after: str, limit: int, /) -> Sequence[OrgId]:
        """Return at most `limit` organizations after `after`, by id."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Publishes what was written."""

    db: Database
    bell: Bell
    organizations: Organizations

    async def run(self) -> None:
        """Publish until cancelled; a database that is away is tried again a second later."""
        clock = asyncio.get_running_loop().time
        next_purge = 0.0
        with self.bell.waiting(OUTBOX_TOPIC) as rung:
            while True:
                began = clock()
                rung.clear()
                try:
                    await self.drain()
                    if clock() >= next_purge:
                        await self.purge()
                        next_purge = clock() + PURGE_EVERY_SECONDS
                except (SQLAlchemyError, OSError) as error:
                    _log.warning("relay.failed", error=type(error).__name__)
                except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a round, not every event from now on
                    _log.exception("relay.broken")
                if rung.is_set():
                    pause = _PAUSES_PER_ROUND * (clock() - began)
                    await asyncio.sleep(min(max(pause, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS))
                await wait(rung, IDLE_SECONDS)

    async def drain(self) -> None:
        """Publish all that is there."""
        while await self.publish():
            pass

    async def publish(self) -> bool:
        """Publish a batch; returns whether there may be more. Nothing is done where another relay is at it."""
        async with self.db.platform(DbRole.RELAY) as tx:
            if not await store.lock(tx):
                return False
            batch = await store.publish(tx)
            more = batch.taken == store.BATCH
            copied = None if more else await self._copy_shared(tx)
            if batch.taken:
                await failpoints.passing("relay.published_before_commit")
        metrics.EVENTS_PUBLISHED.inc(batch.published + (copied or 0))
        return more or copied is not None

    async def _copy_shared(self, tx: Tx) -> int | None:
        """Copy the oldest shared event to some more organizations; returns to how many it was new, None where there is none to copy."""
        event = await store.oldest_shared(tx)
        if event is None:
            return None
        orgs = await self.organizations(tx, event.copied_to, _ORGANIZATIONS)
        copied = await store.copy_shared(tx, event, orgs) if orgs else 0
        if len(orgs) < _ORGANIZATIONS:
            await store.all_have(tx, event)
        return copied

    async def purge(self) -> None:
        """Delete what is no longer kept, a batch at a time."""
        while True:
            async with self.db.platform(DbRole.RELAY) as tx:
                if not await store.lock(tx) or await store.purge(tx) < store.BATCH:
                    return
