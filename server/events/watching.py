"""Who waits for an organization's events: woken by the bell, and by one query a second for all of them as the fallback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.db.engines import DbRole
from server.db.watching import Watched
from server.events.model import topic
from server.events.tail import store
from server.identity import OrgId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from server.db.watching import Watcher


class WatchedTails(Watched[OrgId]):
    """The organizations whose events somebody in this process waits for; a revision is the newest sequence."""

    @contextmanager
    def watching(self, org: OrgId) -> Iterator[Watcher]:
        """Return what is set whenever events of the organization may have been published."""
        with self._watching(org) as watcher:
            yield watcher

    def _topic(self, key: OrgId) -> str:
        return topic(key)

    async def _revisions(self, keys: Sequence[OrgId]) -> Mapping[OrgId, int]:
        async with self._db.platform(DbRole.RELAY) as tx:
            return await store.newest_of(tx, keys)
