"""All SQL of the dispatcher; it runs as role `dispatch`, which sees queue columns of all tenants and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Interval, bindparam, text

from server.identity import JobId, OrgId
from server.predictions.model import Start, topic
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from server.db import ReadTx, Tx

_LOCK_KEY = 0x616E6C79
"""Number of the advisory lock that one dispatcher at a time holds."""

BATCH = 256
"""Most starts of one claim, so that the lock is never held for long; and most that wait for a worker at any time.

A start's lease runs from the claim. Were more started than workers take up in time, leases would end in the queue, and
what is taken back would be started again behind its own stale entries: a backlog that only grows. It waits here instead.
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much one scope may have: jobs running at once, and starts in any 60 s; None is no limit."""

    running: int | None = None
    starts_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits hold at the same time; `hold` is how long a claimed start waits for a worker's acknowledgement."""

    per_org: Limit
    per_model_type: Limit
    in_all: Limit
    hold: timedelta


# Taken in a statement of its own: a statement that locks and claims at once would read a snapshot from before the lock.
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")

# What is left of a limit: NULL limits are skipped by `least`, and what they would count is not counted.
_ROOM_IN_ALL = """least(CAST(:all_running AS bigint) - (SELECT count(*) FROM running),
                         CAST(:all_starts AS bigint) - (SELECT count(*) FROM recent))"""
_ROOM_OF_TYPE = """least(CAST(:type_running AS bigint) - (SELECT count(*) FROM running r WHERE r.model_type = t.model_type),
                         CAST(:type_starts AS bigint) - (SELECT count(*) FROM recent r WHERE r.model_type = t.model_type))"""
_ROOM_OF_ORG = """least(CAST(:org_running AS bigint) - coalesce(r.jobs, 0), CAST(:org_starts AS bigint) - coalesce(c.starts, 0))"""

# `queues` walks the partial index from one organization's model type to the next instead of reading the backlog, and meets the
# first job of each on its way. Of the organizations with a job that may start, the least recently served are kept, as many as
# there is room for: each has one job that comes before all of those left out. Only where the room is larger than that, or some
# of them run more than others, are places after the first read: `last_level` is the place + running that the last of them has,
# and no job beyond it can have a turn. (Where a model type has a limit, which jobs it cuts is not known before, so all are
# kept.) A model type without room is left out before places are given, so it blocks nobody. Starts of one claim are a
# microsecond apart, so that the next claim knows whose turn it is. The clock stands in index conditions as `(SELECT at ...)`:
# joined, it would be compared after reading, job by job, all that is scheduled for later.
_CLAIM = text(
    f"""
    WITH RECURSIVE clock AS MATERIALIZED (SELECT analytics_now() AS at),
    recent AS MATERIALIZED (
        SELECT org_id, model_type FROM prediction_starts
        WHERE CAST(:counted AS boolean) AND started_at > (SELECT at FROM clock) - interval '60 seconds'
    ),
    running AS MATERIALIZED (SELECT org_id, model_type, acknowledged FROM prediction_jobs WHERE state = 'RUNNING'),
    room AS MATERIALIZED (
        SELECT greatest(least({_ROOM_IN_ALL}, :batch - (SELECT count(*) FROM running WHERE NOT acknowledged)), 0) AS jobs
    ),
    types AS MATERIALIZED (
        SELECT t.model_type, coalesce({_ROOM_OF_TYPE}, :batch) AS jobs
        FROM unnest(CAST(:model_types AS text[])) AS t (model_type)
    ),
    queues (org_id, model_type, schedule_time, job_id) AS (
        (
            SELECT org_id, model_type, schedule_time, job_id FROM prediction_jobs
            WHERE state = 'QUEUED' AND (SELECT jobs FROM room) > 0
            ORDER BY org_id, model_type, schedule_time, job_id LIMIT 1
        )
        UNION ALL
        SELECT following.* FROM queues o CROSS JOIN LATERAL (
            SELECT j.org_id, j.model_type, j.schedule_time, j.job_id FROM prediction_jobs j
            WHERE j.state = 'QUEUED' AND (j.org_id, j.model_type) > (o.org_id, o.model_type)
            ORDER BY j.org_id, j.model_type, j.schedule_time, j.job_id LIMIT 1
        ) following
    ),
    firsts AS MATERIALIZED (
        SELECT k.*, t.jobs > 0 AND k.schedule_time <= (SELECT at FROM clock) AS due
        FROM queues k LEFT JOIN types t ON t.model_type = k.model_type
    ),
    shares AS MATERIALIZED (
        SELECT * FROM (
            SELECT f.*, s.last_start, coalesce(r.jobs, 0) AS running, o.jobs,
                   dense_rank() OVER (ORDER BY coalesce(r.jobs, 0), s.last_start NULLS FIRST, f.org_id) AS rank
            FROM firsts f
            LEFT JOIN prediction_turns s ON s.org_id = f.org_id
            LEFT JOIN (SELECT org_id, count(*) AS jobs FROM running GROUP BY org_id) r ON r.org_id = f.org_id
            LEFT JOIN (SELECT org_id, count(*) AS starts FROM recent GROUP BY org_id) c ON c.org_id = f.org_id
            CROSS JOIN LATERAL (SELECT coalesce({_ROOM_OF_ORG}, :batch) AS jobs) o
            WHERE f.due AND o.jobs > 0
        ) ranked
        WHERE CAST(:typed AS boolean) OR rank <= (SELECT jobs FROM room)
    ),
    last_level AS MATERIALIZED (
        SELECT CASE WHEN NOT CAST(:typed AS boolean) AND max(rank) = (SELECT jobs FROM room) THEN max(running) + 1 END AS level
        FROM shares
    ),
    candidates AS (
        SELECT s.org_id, s.model_type, s.last_start, s.running, s.jobs, j.job_id,
               row_number() OVER (PARTITION BY s.org_id ORDER BY j.schedule_time, j.job_id) AS place
        FROM shares s CROSS JOIN LATERAL (
            SELECT s.schedule_time, s.job_id
            UNION ALL (
                SELECT q.schedule_time, q.job_id FROM prediction_jobs q
                WHERE q.org_id = s.org_id AND q.model_type = s.model_type AND q.state = 'QUEUED'
                  AND (q.schedule_time, q.job_id) > (s.schedule_time, s.job_id) AND q.schedule_time <= (SELECT at FROM clock)
                ORDER BY q.schedule_time, q.job_id LIMIT least(s.jobs, (SELECT level FROM last_level) - s.running) - 1
            )
        ) j
    ),
    turns AS (
        SELECT org_id, job_id, model_type,
               row_number() OVER (ORDER BY place + running, last_start NULLS FIRST, org_id, job_id) AS turn
        FROM candidates WHERE place <= jobs
    ),
    due AS (
        SELECT o.org_id, o.job_id, o.turn
        FROM (SELECT *, row_number() OVER (PARTITION BY model_type ORDER BY turn) AS of_type FROM turns) o
        JOIN types t ON t.model_type = o.model_type AND o.of_type <= t.jobs
        ORDER BY o.turn LIMIT (SELECT jobs FROM room)
    ),
    started AS (
        UPDATE prediction_jobs p
        SET state = 'RUNNING', attempt = p.attempt + 1, revision = p.revision + 1, acknowledged = false,
            started_at = clock.at, lease_token = gen_random_uuid(), lease_until = clock.at + :hold
        FROM due, clock
        WHERE p.org_id = due.org_id AND p.job_id = due.job_id AND p.state = 'QUEUED' AND p.schedule_time <= clock.at
        RETURNING p.org_id, p.job_id, p.model_type, p.generation, p.attempt, clock.at + due.turn * interval '1 microsecond' AS at
    ),
    counted AS (
        INSERT INTO prediction_starts (org_id, job_id, model_type, generation, attempt, started_at)
        SELECT org_id, job_id, model_type, generation, attempt, at FROM started
    ),
    served AS (
        INSERT INTO prediction_turns (org_id, last_start) SELECT org_id, max(at) FROM started GROUP BY org_id
        ON CONFLICT (org_id) DO UPDATE SET last_start = excluded.last_start
    )
    SELECT org_id, job_id, generation, attempt FROM started
    """  # noqa: S608 - put together from constants
).bindparams(bindparam("hold", type_=Interval))

# The earliest moment at which a start may become possible that is not now: a job falls due, or a start leaves the minute.
# Here and below the present instant is a subquery: the function is volatile, so compared as it is, it would be asked for each
# row of the whole backlog in turn, where the subquery is asked once and bounds the scan of the index.
_NEXT = text(
    """
    SELECT extract(epoch FROM least(
        (SELECT min(schedule_time) FROM prediction_jobs WHERE state = 'QUEUED' AND schedule_time > (SELECT analytics_now())),
        (SELECT min(started_at) FROM prediction_starts WHERE started_at > (SELECT analytics_now()) - interval '60 seconds')
            + interval '60 seconds'
    ) - analytics_now())::float8 AS seconds
    """
)

_REVISIONS = text(
    """
    SELECT j.job_id, j.revision FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[])) AS w (org_id, job_id)
    JOIN prediction_jobs j ON j.org_id = w.org_id AND j.job_id = w.job_id
    """
)


async def claim(tx: Tx, limits: Limits) -> Sequence[Start]:
    """Start as many due jobs as the limits allow, at most `BATCH`, the least recently served organization first."""
    await tx.first(_LOCK, {"key": _LOCK_KEY})
    rows = await tx.all(_CLAIM, _parameters(limits))
    starts = [Start(OrgId(row.org_id), JobId(row.job_id), row.generation, row.attempt) for row in rows]
    for start in starts:
        tx.wake(topic(start.job_id))
    return starts


def may_claim_more(starts: Sequence[Start], limits: Limits) -> bool:
    """Whether a claim right after one that made `starts` could make more.

    A claim starts all that may run, up to a batch; only where a model type's limit cut it short may places of an
    organization be left for its other types.
    """
    return len(starts) == BATCH or (bool(starts) and _typed(limits))


async def seconds_to_next(tx: ReadTx) -> float | None:
    """Return how long to wait until a start may become possible by time alone; None when nothing is in sight."""
    seconds: float | None = (await tx.one(_NEXT)).seconds
    return seconds


async def revisions(tx: ReadTx, watched: Sequence[tuple[OrgId, JobId]]) -> Mapping[JobId, int]:
    """Return the revision of each watched job, in one query."""
    rows = await tx.all(_REVISIONS, {"orgs": [org for org, _ in watched], "jobs": [job for _, job in watched]})
    return {JobId(row.job_id): row.revision for row in rows}


def _typed(limits: Limits) -> bool:
    return limits.per_model_type.running is not None or limits.per_model_type.starts_per_minute is not None


def _parameters(limits: Limits) -> Mapping[str, object]:
    org, kind, everything = limits.per_org, limits.per_model_type, limits.in_all
    return {
        "org_running": org.running,
        "org_starts": org.starts_per_minute,
        "type_running": kind.running,
        "type_starts": kind.starts_per_minute,
        "all_running": everything.running,
        "all_starts": everything.starts_per_minute,
        "counted": any(limit.starts_per_minute is not None for limit in (org, kind, everything)),
        "typed": _typed(limits),
        "model_types": [model_type.value for model_type in ModelType],
        "batch": BATCH,
        "hold": limits.hold,
    }
