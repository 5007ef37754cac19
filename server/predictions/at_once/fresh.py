"""Requests for which nothing was queued before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.predictions.at_once import store
from server.predictions.request import Accepted, count

if TYPE_CHECKING:
    from server.audit.model import Origin
    from server.db import Database
    from server.predictions.backlog.room import Caps
    from server.predictions.request import Prepared


async def accept_at_once(db: Database, origin: Origin, prepared: Prepared, caps: Caps) -> Accepted | None:
    """Queue the prepared job; None when something stands against it, which a transaction finds out: a twin, or no room."""
    job = None if prepared.twin is not None else await store.queue(db, origin, prepared.new, caps)
    if job is None:
        return None
    accepted = Accepted(job, deduplicated=False)
    count([accepted])
    return accepted
