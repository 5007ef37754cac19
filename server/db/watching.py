"""Who waits for changes of something: woken by the bell, and by one query a second for all that is watched as the fallback.

What always holds: a watcher that knows a revision is woken within `POLL_SECONDS`, and as long as that one query takes, of a
later one, whatever became of the bell; and is not woken by the query as long as there is none. So neither watching nor a
heartbeat costs a query per watcher.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from server.db.database import Database
    from server.queue import Bell

POLL_SECONDS = 1.0
_log = structlog.get_logger(__name__)

Key = TypeVar("Key")


@dataclass(eq=False, slots=True)
class Watcher:
    """One who waits for changes; an event that also remembers which revision is known here."""

    _event: asyncio.Event
    _known: int = -1

    def is_set(self) -> bool:
        """Whether there may have been a change since `clear`."""
        return self._event.is_set()

    def clear(self) -> None:
        """Wait for the next change; clear first, then look."""
        self._event.clear()

    async def wait(self) -> None:
        """Return when there may have been a change."""
        await self._event.wait()

    def saw(self, revision: int) -> None:
        """Remember what was loaded, so that nobody is woken for it."""
        self._known = revision

    def tell(self, revision: int) -> None:
        """Wake if `revision` is news; 0, of what is gone, is news once."""
        if revision > self._known or revision == 0 < self._known:
            self._known = revision
            self._event.set()


class Watched(ABC, Generic[Key]):
    """What somebody in this process waits for."""

    def __init__(self, db: Database, bell: Bell) -> None:
        """Nothing is watched yet."""
        self._db = db
        self._bell = bell
        self._watchers: Counter[Key] = Counter()
        self._of: dict[Key, set[Watcher]] = {}

    @abstractmethod
    def _topic(self, key: Key) -> str:
        """Name of the bell that rings for `key`."""

    @abstractmethod
    async def _revisions(self, keys: Sequence[Key]) -> Mapping[Key, int]:
        """Return the present revisions, in one query; what is gone is left out."""

    @contextmanager
    def _watching(self, key: Key) -> Iterator[Watcher]:
        with self._bell.waiting(self._topic(key)) as event:
            watcher = Watcher(event)
            self._watchers[key] += 1
            self._of.setdefault(key, set()).add(watcher)
            try:
                yield watcher
            finally:
                self._watchers[key] -= 1
                self._of[key].remove(watcher)
                if not self._watchers[key]:
                    del self._watchers[key], self._of[key]

    async def run(self) -> None:
        """Look once a second at all that is watched, in one query, and wake who missed a ring."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._watchers:
                continue
            try:
                await self._look()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("watch.poll_failed", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a look, not all that follow
                _log.exception("watch.poll_broken")

    async def _look(self) -> None:
        asked = list(self._watchers)
        found = await self._revisions(asked)
        for key in asked:
            for watcher in self._of.get(key, ()):
                watcher.tell(found.get(key, 0))
