"""All SQL of reading events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.events.model import Published
from server.identity import OrgId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.db import ReadTx
    from server.db.transaction import Record

# One row at least, whatever the filters leave: the bounds of what was read come with each.
_PAGE = text(
    """
    WITH page AS MATERIALIZED (SELECT * FROM events WHERE org_id = :org AND sequence > :after ORDER BY sequence LIMIT :limit),
    bounds AS (SELECT min(sequence) AS first, max(sequence) AS last, count(*) AS number FROM page),
    wanted AS (
        SELECT * FROM page
        WHERE (cardinality(CAST(:types AS text[])) + cardinality(CAST(:beginnings AS text[])) = 0
               OR type = ANY (CAST(:types AS text[]))
               OR EXISTS (SELECT FROM unnest(CAST(:beginnings AS text[])) b WHERE starts_with(page.type, b)))
          AND (cardinality(CAST(:metric_keys AS text[])) = 0 OR payload->>'metric_key' = ANY (CAST(:metric_keys AS text[])))
    )
    SELECT b.first, b.last, b.number, coalesce((SELECT last_sequence FROM event_sequences WHERE org_id = :org), 0) AS newest,
        w.sequence, w.event_id, w.type, w.subject, w.occurred_at, w.published_at, w.correlation_id, w.causation_id, w.traceparent,
        w.residency, w.provenance, w.payload
    FROM bounds b LEFT JOIN wanted w ON true ORDER BY w.sequence
    """
)
_KEPT = text(
    """
    SELECT coalesce((SELECT min(sequence) FROM events WHERE org_id = :org), 0) AS oldest,
        coalesce((SELECT last_sequence FROM event_sequences WHERE org_id = :org), 0) AS newest
    """
)
_NEWEST_OF = text("SELECT org_id, last_sequence FROM event_sequences WHERE org_id = ANY (CAST(:orgs AS text[]))")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader wants: of exactly these types, or of types that begin so; without any, all. Likewise metrics."""

    types: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    metric_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What was read: the wanted events, and the place after all that was looked at."""

    events: Sequence[Published]
    last: int
    full: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """The sequences that are kept: `newest` is the last that was ever given, `oldest` one more than that when nothing is kept."""

    oldest: int
    newest: int


class Purged(Exception):
    """What comes after the place that was asked for is no longer kept."""


async def page(tx: ReadTx, org: OrgId, after: int, wanted: Wanted, limit: int) -> Page:
    """Read at most `limit` events after a place, and return those that are wanted.

    Raises:
        Purged: there is a gap.

    """
    rows = await tx.all(
        _PAGE,
        {
            "org": org,
            "after": after,
            "limit": limit,
            "types": list(wanted.types),
            "beginnings": list(wanted.beginnings),
            "metric_keys": list(wanted.metric_keys),
        },
    )
    bounds = rows[0]
    if not bounds.number:
        if bounds.newest > after:
            raise Purged
        return Page((), after, full=False)
    if bounds.first != after + 1 or bounds.last - bounds.first + 1 != bounds.number:
        raise Purged
    return Page([_published(row) for row in rows if row.sequence is not None], bounds.last, full=bounds.number == limit)


async def kept(tx: ReadTx, org: OrgId) -> Kept:
    """Return which of an organization's events are kept."""
    row = await tx.one(_KEPT, {"org": org})
    return Kept(row.oldest or row.newest + 1, row.newest)


async def newest_of(tx: ReadTx, orgs: Sequence[OrgId]) -> Mapping[OrgId, int]:
    """Return the newest sequence of each of many organizations; it takes the role of the relay."""
    return {OrgId(row.org_id): row.last_sequence for row in await tx.all(_NEWEST_OF, {"orgs": list(orgs)})}


def _published(row: Record) -> Published:
    return Published(
        row.sequence,
        row.event_id,
        row.type,
        row.subject,
        row.occurred_at,
        row.published_at,
        row.correlation_id,
        row.causation_id,
        row.traceparent,
        row.residency,
        row.provenance,
        row.payload,
    )
