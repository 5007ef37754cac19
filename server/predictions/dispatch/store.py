"""All SQL of the dispatcher; it runs as role `dispatch`, which sees queue columns of all tenants and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Interval, bindparam, text

from server.identity import JobId, OrgId
from server.predictions.model import QUEUED_TOPIC, Start, topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from server.db import ReadTx, Tx

_LOCK_KEY = 0x616E6C79
"""Number of the advisory lock that one dispatcher at a time holds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may run: per organization at once, and starts in any 60 s."""

    per_org: int
    starts_per_minute: int
    hold: timedelta


# Taken in a statement of its own: a statement that locks and claims at once would read a snapshot from before the lock.
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")

# `orgs` walks the partial index from organization to organization instead of reading the backlog; the lateral join then
# reads no more jobs of each than may run. Starts of one claim are a microsecond apart, so that the next claim knows whose turn it is.
_CLAIM = text(
    """
    WITH RECURSIVE clock AS MATERIALIZED (SELECT analytics_now() AS at),
    room AS (
        SELECT greatest(:starts_per_minute - count(*), 0) AS starts
        FROM prediction_starts, clock WHERE started_at > clock.at - interval '60 seconds'
    ),
    orgs (org_id) AS (
        (SELECT org_id FROM prediction_jobs WHERE state = 'QUEUED' ORDER BY org_id LIMIT 1)
        UNION ALL
        SELECT (SELECT j.org_id FROM prediction_jobs j WHERE j.state = 'QUEUED' AND j.org_id > o.org_id ORDER BY j.org_id LIMIT 1)
        FROM orgs o WHERE o.org_id IS NOT NULL
    ),
    running AS (SELECT org_id, count(*) AS jobs FROM prediction_jobs WHERE state = 'RUNNING' GROUP BY org_id),
    served AS (
        SELECT org_id, max(started_at) AS last_start FROM prediction_starts, clock
        WHERE started_at > clock.at - interval '10 minutes' GROUP BY org_id
    ),
    due AS (
        SELECT o.org_id, j.job_id,
               row_number() OVER (ORDER BY j.place, served.last_start NULLS FIRST, o.org_id, j.job_id) AS turn
        FROM orgs o
        LEFT JOIN running ON running.org_id = o.org_id
        LEFT JOIN served ON served.org_id = o.org_id
        JOIN LATERAL (
            SELECT job_id, row_number() OVER (ORDER BY schedule_time, job_id) + coalesce(running.jobs, 0) AS place
            FROM prediction_jobs q, clock
            WHERE q.org_id = o.org_id AND q.state = 'QUEUED' AND q.schedule_time <= clock.at
            ORDER BY schedule_time, job_id LIMIT greatest(:per_org - coalesce(running.jobs, 0), 0)
        ) j ON true
        WHERE o.org_id IS NOT NULL
        ORDER BY turn
        LIMIT (SELECT starts FROM room)
    ),
    started AS (
        UPDATE prediction_jobs p
        SET state = 'RUNNING', attempt = p.attempt + 1, revision = p.revision + 1, acknowledged = false,
            started_at = clock.at, lease_token = gen_random_uuid(), lease_until = clock.at + :hold
        FROM due, clock
        WHERE p.org_id = due.org_id AND p.job_id = due.job_id AND p.state = 'QUEUED'
        RETURNING p.org_id, p.job_id, p.generation, p.attempt, clock.at, due.turn
    ),
    counted AS (
        INSERT INTO prediction_starts (org_id, job_id, generation, attempt, started_at)
        SELECT org_id, job_id, generation, attempt, at + turn * interval '1 microsecond' FROM started
    )
    SELECT org_id, job_id, generation, attempt FROM started
    """
).bindparams(bindparam("hold", type_=Interval))

# A crash counts only when a worker had acknowledged the start: a start that arq lost is nobody's fault.
_SWEEP = text(
    """
    UPDATE prediction_jobs
    SET crashes = crashes + acknowledged::int,
        state = CASE WHEN crashes + acknowledged::int >= :crashes THEN 'FAILED' ELSE 'QUEUED' END,
        completed_at = CASE WHEN crashes + acknowledged::int >= :crashes THEN analytics_now() END,
        error_reason = CASE WHEN crashes + acknowledged::int >= :crashes THEN 'POISON' END,
        error_message = CASE WHEN crashes + acknowledged::int >= :crashes
                             THEN 'the job ended its worker ' || (crashes + acknowledged::int) || ' times' END,
        revision = revision + 1, lease_token = NULL, lease_until = NULL, acknowledged = false
    WHERE state = 'RUNNING' AND lease_until < analytics_now()
    RETURNING org_id, job_id, generation, attempt, state
    """
)

_FORGET_STARTS = text("DELETE FROM prediction_starts WHERE started_at < analytics_now() - interval '1 hour'")

_REVISIONS = text(
    """
    SELECT j.job_id, j.revision FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[])) AS w (org_id, job_id)
    JOIN prediction_jobs j ON j.org_id = w.org_id AND j.job_id = w.job_id
    """
)

_UNFINISHED = text("SELECT org_id, job_id, generation FROM prediction_jobs WHERE state IN ('QUEUED', 'RUNNING')")


async def claim(tx: Tx, limits: Limits) -> Sequence[Start]:
    """Start as many due jobs as the limits allow, the least recently served organization first."""
    await tx.first(_LOCK, {"key": _LOCK_KEY})
    rows = await tx.all(_CLAIM, {"per_org": limits.per_org, "starts_per_minute": limits.starts_per_minute, "hold": limits.hold})
    starts = [Start(OrgId(row.org_id), JobId(row.job_id), row.generation, row.attempt) for row in rows]
    for start in starts:
        tx.wake(topic(start.job_id))
    return starts


async def sweep(tx: Tx, max_crashes: int) -> Sequence[Start]:
    """Queue again, or bury, the jobs whose lease ended; returns the last start of the buried ones."""
    rows = await tx.all(_SWEEP, {"crashes": max_crashes})
    for row in rows:
        tx.wake(topic(JobId(row.job_id)))
    if rows:
        tx.wake(QUEUED_TOPIC)
    await tx.run(_FORGET_STARTS)
    return [Start(OrgId(row.org_id), JobId(row.job_id), row.generation, row.attempt) for row in rows if row.state == "FAILED"]


async def revisions(tx: ReadTx, watched: Sequence[tuple[OrgId, JobId]]) -> Mapping[JobId, int]:
    """Return the revision of each watched job, in one query."""
    rows = await tx.all(_REVISIONS, {"orgs": [org for org, _ in watched], "jobs": [job for _, job in watched]})
    return {JobId(row.job_id): row.revision for row in rows}


async def unfinished(tx: ReadTx) -> Sequence[tuple[OrgId, JobId, int]]:
    """Return every job that has not ended, with its generation; their inputs must stay alive."""
    return [(OrgId(row.org_id), JobId(row.job_id), row.generation) for row in await tx.all(_UNFINISHED)]
