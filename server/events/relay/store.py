"""All SQL of the relay; it runs as role `relay`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.events.model import topic
from server.identity import OrgId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from server.db import ReadTx, Tx

_LOCK_KEY = 0x72656C61
"""Number of the advisory lock that one relay at a time holds."""

BATCH = 2_000
"""Most events that one transaction publishes."""

KEPT = "7 days"
"""How long a published event is kept."""

# Taken in a statement of its own: one that locks and publishes at once would read a snapshot from before the lock.
_LOCK = text("SELECT pg_try_advisory_xact_lock(:key) AS mine")

_NUMBER = """
    counted AS (
        INSERT INTO event_sequences (org_id, last_sequence) SELECT org_id, count(*) FROM fresh GROUP BY org_id
        ON CONFLICT (org_id) DO UPDATE SET last_sequence = event_sequences.last_sequence + excluded.last_sequence
        RETURNING org_id, last_sequence
    ),
    published AS (
        INSERT INTO events (org_id, sequence, event_id, type, subject, occurred_at, published_at, correlation_id, causation_id,
            traceparent, residency, provenance, payload)
        SELECT f.org_id, c.last_sequence - f.left_over, f.event_id, f.type, f.subject, f.occurred_at, (SELECT analytics_now()),
            f.correlation_id, f.causation_id, f.traceparent, f.residency, f.provenance, f.payload
        FROM fresh f JOIN counted c ON c.org_id = f.org_id
        RETURNING org_id
    )
"""

# In the order of writing. What follows from a committed change was written later, so it is never taken without it; what was
# written earlier and is committed later gets a later sequence, and no reader has passed that.
_PUBLISH = text(
    f"""
    WITH taken AS (
        DELETE FROM outbox o USING (SELECT org_id, event_id FROM outbox ORDER BY place LIMIT :batch) b
        WHERE o.org_id = b.org_id AND o.event_id = b.event_id RETURNING o.*
    ),
    fresh AS (
        SELECT t.*, row_number() OVER (PARTITION BY t.org_id ORDER BY t.place DESC, t.event_id DESC) - 1 AS left_over FROM taken t
        WHERE NOT EXISTS (SELECT FROM events e WHERE e.org_id = t.org_id AND e.event_id = t.event_id)
    ),
    {_NUMBER}
    SELECT (SELECT count(*) FROM taken) AS taken, (SELECT count(*) FROM published) AS published,
        ARRAY(SELECT DISTINCT org_id FROM published) AS orgs
    """  # noqa: S608 - put together from constants
)

_OLDEST_SHARED = text("SELECT event_id, copied_to FROM shared_outbox ORDER BY place LIMIT 1")
_COPY = text(
    f"""
    WITH fresh AS (
        SELECT o.org_id, s.*, 0 AS left_over
        FROM unnest(CAST(:orgs AS text[])) AS o (org_id) CROSS JOIN (SELECT * FROM shared_outbox WHERE event_id = CAST(:event AS uuid)) s
        WHERE NOT EXISTS (SELECT FROM events e WHERE e.org_id = o.org_id AND e.event_id = s.event_id)
    ),
    {_NUMBER}
    SELECT ARRAY(SELECT org_id FROM published) AS orgs
    """  # noqa: S608 - put together from constants
)
_COPIED_TO = text("UPDATE shared_outbox SET copied_to = :org WHERE event_id = CAST(:event AS uuid)")
_ALL_HAVE_IT = text("DELETE FROM shared_outbox WHERE event_id = CAST(:event AS uuid)")

# Oldest first, and of one instant in the order of the sequence: what is left of an organization has no gap.
_PURGE = text(
    f"""
    DELETE FROM events e USING (
        SELECT org_id, sequence FROM events WHERE published_at < (SELECT analytics_now()) - interval '{KEPT}'
        ORDER BY published_at, org_id, sequence LIMIT :batch
    ) old WHERE e.org_id = old.org_id AND e.sequence = old.sequence
    """  # noqa: S608 - put together from constants
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction took from the outbox, and how much of it was new."""

    taken: int
    published: int


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An event of no organization on its way, and the last organization that has it."""

    event_id: UUID
    copied_to: str


async def lock(tx: Tx) -> bool:
    """Become the one relay until the transaction ends; False when another one is at it."""
    mine: bool = (await tx.one(_LOCK, {"key": _LOCK_KEY})).mine
    return mine


async def publish(tx: Tx, batch: int = BATCH) -> Batch:
    """Move the events that were written first from the outbox into their organizations' sequences."""
    row = await tx.one(_PUBLISH, {"batch": batch})
    _wake(tx, row.orgs)
    return Batch(row.taken, row.published)


async def oldest_shared(tx: ReadTx) -> SharedEvent | None:
    """Return the shared event that is to be copied next."""
    row = await tx.first(_OLDEST_SHARED)
    return None if row is None else SharedEvent(row.event_id, row.copied_to)


async def copy_shared(tx: Tx, event: SharedEvent, orgs: Sequence[OrgId]) -> int:
    """Publish a shared event to organizations, the next in the order of their ids; returns to how many it was new."""
    row = await tx.one(_COPY, {"event": event.event_id, "orgs": list(orgs)})
    await tx.run(_COPIED_TO, {"event": event.event_id, "org": orgs[-1]})
    _wake(tx, row.orgs)
    return len(row.orgs)


async def all_have(tx: Tx, event: SharedEvent) -> None:
    """Forget a shared event that every organization has."""
    await tx.run(_ALL_HAVE_IT, {"event": event.event_id})


async def purge(tx: Tx, batch: int = BATCH) -> int:
    """Delete the oldest events that are no longer kept; returns how many."""
    return await tx.run(_PURGE, {"batch": batch})


def _wake(tx: Tx, orgs: Sequence[str]) -> None:
    for org in orgs:
        tx.wake(topic(OrgId(org)))
