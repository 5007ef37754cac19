"""Who waits for a job: woken by the bell, and by one query a second for all watched jobs together as the fallback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.db.engines import DbRole
from server.db.watching import Watched
from server.identity import JobId, OrgId
from server.predictions.dispatch import store
from server.predictions.model import topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from server.db.watching import Watcher


class WatchedJobs(Watched[tuple[OrgId, JobId]]):
    """The jobs that somebody in this process waits for."""

    @contextmanager
    def watching(self, org: OrgId, job_id: JobId) -> Iterator[Watcher]:
        """Return what is set whenever the job may have changed."""
        with self._watching((org, job_id)) as watcher:
            yield watcher

    def _topic(self, key: tuple[OrgId, JobId]) -> str:
        return topic(key[1])

    async def _revisions(self, keys: Sequence[tuple[OrgId, JobId]]) -> Mapping[tuple[OrgId, JobId], int]:
        async with self._db.platform(DbRole.DISPATCH) as tx:
            found = await store.revisions(tx, keys)
        return {key: found[key[1]] for key in keys if key[1] in found}
