"""Who waits for a job: woken by the bell, and by one query a second for all watched jobs together as the fallback.

What always holds: a watcher that knows a revision is woken within `POLL_SECONDS`, and as long as that one query takes, of a
later one, whatever became of the bell; and is not woken by the query as long as there is none. So neither watching nor a
heartbeat costs a query per watcher.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server.db.engines import DbRole
from server.predictions.dispatch import store
from server.predictions.model import topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.db import Database
    from server.identity import JobId, OrgId
    from server.queue import Bell

POLL_SECONDS = 1.0
_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Watcher:
    """One who waits for changes of a job; an event that also remembers which revision is known here."""

    _event: asyncio.Event
    _known: int = -1

    def is_set(self) -> bool:
        """Whether the job may have changed since `clear`."""
        return self._event.is_set()

    def clear(self) -> None:
        """Wait for the next change; clear first, then look."""
        self._event.clear()

    async def wait(self) -> None:
        """Return when the job may have changed."""
        await self._event.wait()

    def saw(self, revision: int) -> None:
        """Remember what was loaded, so that nobody is woken for it."""
        self._known = revision

    def tell(self, revision: int) -> None:
        """Wake if `revision` is news; 0, of a job that is gone, is news once."""
        if revision > self._known or revision == 0 < self._known:
            self._known = revision
            self._event.set()


class WatchedJobs:
    """The jobs that somebody in this process waits for."""

    def __init__(self, db: Database, bell: Bell) -> None:
        """Nothing is watched yet."""
        self._db = db
        self._bell = bell
        self._watchers: Counter[tuple[OrgId, JobId]] = Counter()
        self._of_job: dict[tuple[OrgId, JobId], set[Watcher]] = {}

    @contextmanager
    def watching(self, org: OrgId, job_id: JobId) -> Iterator[Watcher]:
        """Return what is set whenever the job may have changed."""
        with self._bell.waiting(topic(job_id)) as event:
            watched, watcher = (org, job_id), Watcher(event)
            self._watchers[watched] += 1
            self._of_job.setdefault(watched, set()).add(watcher)
            try:
                yield watcher
            finally:
                self._watchers[watched] -= 1
                self._of_job[watched].remove(watcher)
                if not self._watchers[watched]:
                    del self._watchers[watched], self._of_job[watched]

    async def run(self) -> None:
        """Look once a second at all watched jobs, in one query, and wake who missed a ring."""
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
        async with self._db.platform(DbRole.DISPATCH) as tx:
            found = await store.revisions(tx, asked)
        for watched in asked:
            for watcher in self._of_job.get(watched, ()):
                watcher.tell(found.get(watched[1], 0))
