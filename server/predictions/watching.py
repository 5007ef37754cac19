"""Who waits for a job: woken by the bell, and by one query a second for all watched jobs together as the fallback."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
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


class WatchedJobs:
    """The jobs that somebody in this process waits for."""

    def __init__(self, db: Database, bell: Bell) -> None:
        """Nothing is watched yet."""
        self._db = db
        self._bell = bell
        self._watchers: Counter[tuple[OrgId, JobId]] = Counter()
        self._revisions: dict[JobId, int] = {}

    @contextmanager
    def watching(self, org: OrgId, job_id: JobId) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever the job may have changed."""
        self._watchers[org, job_id] += 1
        try:
            with self._bell.waiting(topic(job_id)) as event:
                yield event
        finally:
            self._watchers[org, job_id] -= 1
            if not self._watchers[org, job_id]:
                del self._watchers[org, job_id]
                self._revisions.pop(job_id, None)

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
        for org, job_id in asked:
            # Whoever watches a job that is gone has to be told, once.
            revision = found.get(job_id, 0)
            if (org, job_id) in self._watchers and self._revisions.get(job_id) != revision:
                self._revisions[job_id] = revision
                self._bell.wake(topic(job_id))
