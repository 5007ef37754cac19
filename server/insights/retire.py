"""Clear away what has expired, a bounded part at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.insights import store
from server.insights.model import KEPT

if TYPE_CHECKING:
    from server.db import Tx
    from server.identity import OrgId

MOST_AT_ONCE = 5_000


async def retire(tx: Tx, org: OrgId) -> bool:
    """Take expired insights off the lists and delete those that expired long ago; returns whether there may be more.

    What is seen does not depend on it, every list asks for the expiry itself. But a list walks over expired rows until this
    has come by, so the nightly run repeats it, a transaction each, until there is nothing more, and then writes what it found.
    """
    retired = await store.retire(tx, org, MOST_AT_ONCE)
    purged = await store.purge(tx, org, KEPT, MOST_AT_ONCE)
    return MOST_AT_ONCE in (retired, purged)
