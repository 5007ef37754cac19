"""All SQL of the backlog: what is left of the caps (role `app`), and the queue's figures (role `dispatch`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Text, bindparam, text

from server.identity import OrgId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from server.db import ReadTx, Tx
    from server.db.transaction import Record

FRESH_SECONDS = 1.0
"""How old a count may be before the next process counts anew."""

MOST_AT_ONCE = 500
"""Most jobs that one transaction queues; the size of the largest batch."""

_COUNT_KEY = 0x71756575
"""Number of the advisory lock of the one process that counts."""


@dataclass(frozen=True, slots=True)
class Left:
    """How many more jobs may wait: exactly, in the organization; by the last count, in all. Not below 0."""

    in_org: int
    in_all: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The queue at the instant `at`: jobs that are due, scheduled for later and running, and starts in the last 60 s.

    `oldest_wait` is how long the job that is due for longest has been due; None when none is.
    """

    at: datetime
    due: int
    later: int
    running: int
    starts: int
    oldest_wait: timedelta | None


@dataclass(frozen=True, slots=True)
class OrgQueue:
    """What one organization has in the queue; `last_start` is None before its first start."""

    org: OrgId
    waiting: int
    running: int
    last_start: datetime | None


# The function waits for locks and counts after that, each by a snapshot of its own, in one round trip.
_LEFT = text(
    """
    SELECT prediction_room(:org, :per_org, :wanted, :most) AS in_org,
           greatest(CAST(:in_all AS bigint) - coalesce((SELECT due + later FROM prediction_backlog), 0), 0) AS in_all
    """
).bindparams(bindparam("per_org", type_=BigInteger), bindparam("wanted", type_=BigInteger), bindparam("most", type_=BigInteger))

_FIGURES = """
    SELECT clock.at, queued.due, queued.later, queued.oldest,
           (SELECT count(*) FROM prediction_jobs WHERE state = 'RUNNING') AS running,
           (SELECT count(*) FROM prediction_starts WHERE started_at > clock.at - interval '60 seconds') AS starts
    FROM (SELECT analytics_now() AS at) clock CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE schedule_time <= clock.at) AS due,
               count(*) FILTER (WHERE schedule_time > clock.at) AS later,
               min(schedule_time) FILTER (WHERE schedule_time <= clock.at) AS oldest
        FROM prediction_jobs WHERE state = 'QUEUED'
    ) queued
"""
_NOW = text(_FIGURES)

# Counting takes at most a twentieth of the time, however long the queue: the next count waits 20 times as long as this one took.
_PUBLISH = text(
    f"""
    WITH counted AS MATERIALIZED ({_FIGURES})
    INSERT INTO prediction_backlog (single, at, due, later, oldest, running, starts, fresh_until)
    SELECT true, at, due, later, oldest, running, starts,
           at + greatest(:fresh * interval '1 second', 20 * (clock_timestamp() - statement_timestamp()))
    FROM counted
    ON CONFLICT (single) DO UPDATE SET at = excluded.at, due = excluded.due, later = excluded.later, oldest = excluded.oldest,
        running = excluded.running, starts = excluded.starts, fresh_until = excluded.fresh_until
    RETURNING at, due, later, oldest, running, starts
    """  # noqa: S608 - put together from constants
)
_PUBLISHED = text("SELECT at, due, later, oldest, running, starts, fresh_until > analytics_now() AS fresh FROM prediction_backlog")
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key) AS mine")

_ORGS = text(
    """
    SELECT o.org_id, o.waiting, o.running, t.last_start
    FROM (
        SELECT org_id, coalesce(w.jobs, 0) AS waiting, coalesce(r.jobs, 0) AS running
        FROM (SELECT org_id, count(*) AS jobs FROM prediction_jobs WHERE state = 'QUEUED' GROUP BY org_id) w
        FULL JOIN (SELECT org_id, count(*) AS jobs FROM prediction_jobs WHERE state = 'RUNNING' GROUP BY org_id) r USING (org_id)
        WHERE coalesce(w.jobs, 0) < :waiting OR :waiting IS NULL OR (coalesce(w.jobs, 0) = :waiting AND org_id > :org)
        ORDER BY waiting DESC, org_id LIMIT :limit
    ) o
    LEFT JOIN prediction_turns t ON t.org_id = o.org_id
    ORDER BY o.waiting DESC, o.org_id
    """
).bindparams(bindparam("waiting", type_=BigInteger), bindparam("org", type_=Text))


async def left(tx: Tx, org: OrgId, per_org: int, in_all: int, wanted: int) -> Left:
    """Return what is left of the caps for this transaction, which queues no more than `wanted` jobs.

    What is left in the organization stays left until this transaction ends: other requests wait for it, or there is room
    for all of them.
    """
    row = await tx.one(_LEFT, {"org": org, "per_org": per_org, "in_all": in_all, "wanted": wanted, "most": MOST_AT_ONCE})
    return Left(row.in_org, row.in_all)


async def published(tx: ReadTx) -> Figures | None:
    """Return the last count; None when it is not fresh."""
    row = await tx.first(_PUBLISHED)
    return _figures(row) if row is not None and row.fresh else None


async def publish(tx: Tx) -> Figures | None:
    """Count, and keep the count for all processes; None when another process is at it."""
    if not (await tx.one(_TRY_LOCK, {"key": _COUNT_KEY})).mine:
        return None
    return _figures(await tx.one(_PUBLISH, {"fresh": FRESH_SECONDS}))


async def figures(tx: ReadTx) -> Figures:
    """Count now."""
    return _figures(await tx.one(_NOW))


async def organizations(tx: ReadTx, after: tuple[int, str] | None, limit: int) -> Sequence[OrgQueue]:
    """Return at most `limit` organizations with a waiting or running job, most waiting jobs first, then by id.

    Args:
        tx: of role `dispatch`.
        after: waiting jobs and id of the organization after which to go on; None starts at the top.
        limit: how many at most.

    """
    waiting, org = after or (None, None)
    rows = await tx.all(_ORGS, {"waiting": waiting, "org": org, "limit": limit})
    return [OrgQueue(OrgId(row.org_id), row.waiting, row.running, row.last_start) for row in rows]


def _figures(row: Record) -> Figures:
    oldest_wait = None if row.oldest is None else row.at - row.oldest
    return Figures(row.at, row.due, row.later, row.running, row.starts, oldest_wait)
