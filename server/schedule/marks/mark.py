"""Mark an organization as dealt with, in the transaction of what was done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.schedule.marks import store
from server.schedule.marks.model import Entry, Outcome

if TYPE_CHECKING:
    from server.db import Tx
    from server.identity import OrgId
    from server.schedule.model import Claim


class NotToBeDone(Exception):
    """The organization was marked before, or the run belongs to another worker by now: the transaction must not commit."""


async def mark_done(tx: Tx, held: Claim, org: OrgId) -> None:
    """Mark `org` as done; call it first in the organization's own transaction, so that all of it happens once.

    Raises:
        NotToBeDone: see the class; let it pass, `workers.organizations` knows what it means.

    """
    if not await store.record(tx, held, [Entry(org, Outcome.DONE)]):
        raise NotToBeDone
