"""All SQL of leases. Every list may name jobs of many organizations; the rows that changed say which were still held."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Interval, bindparam, text

from server.identity import JobId, ModelId, OrgId
from server.predictions.model import QUEUED_TOPIC, JobFailure, JobState, Lease, topic
from server.predictions.results import to_json
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import TextClause

    from server.db import Tx
    from server.db.transaction import Record
    from server.predictions.model import Outcome, Start

# Each statement locks its rows in one order, whatever order the planner would change them in: two that name some of the same
# jobs, or one of them and the sweeper, wait for each other in a line and never in a circle.
_ACKNOWLEDGE = text(
    """
    WITH s AS (
        SELECT p.org_id, p.job_id
        FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[]), CAST(:generations AS int[]), CAST(:attempts AS int[]))
            AS s (org_id, job_id, generation, attempt)
        JOIN prediction_jobs p ON p.org_id = s.org_id AND p.job_id = s.job_id
        WHERE p.generation = s.generation AND p.attempt = s.attempt AND p.state = 'RUNNING' AND NOT p.acknowledged
        ORDER BY p.org_id, p.job_id FOR UPDATE OF p
    )
    UPDATE prediction_jobs p SET acknowledged = true, lease_until = analytics_now() + :hold
    FROM s WHERE p.org_id = s.org_id AND p.job_id = s.job_id
    RETURNING p.org_id, p.job_id, p.lease_token, p.model_id, p.model_type, p.model_version, p.generation, p.attempt, p.failures,
        p.traceparent
    """
).bindparams(bindparam("hold", type_=Interval))


def _of_held(change: str, **columns: str) -> TextClause:
    """Return the statement that makes a change to the jobs whose leases are still held.

    Args:
        change: what is set; `l` has the values that are given per job.
        columns: names of those values, and the types of the parameters of the same names.

    """
    arrays = "".join(f", CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    names = "".join(f", {name}" for name in columns)
    return text(
        f"""
        WITH l AS (
            SELECT l.* FROM unnest(CAST(:org AS text[]), CAST(:job AS uuid[]), CAST(:token AS uuid[]){arrays})
                AS l (org_id, job_id, token{names})
            JOIN prediction_jobs p ON p.org_id = l.org_id AND p.job_id = l.job_id
            WHERE p.lease_token = l.token AND p.state = 'RUNNING'
            ORDER BY p.org_id, p.job_id FOR UPDATE OF p
        )
        UPDATE prediction_jobs p SET {change}
        FROM l WHERE p.org_id = l.org_id AND p.job_id = l.job_id RETURNING p.org_id, p.job_id
        """  # noqa: S608 - put together from constants
    )


_OVER = "revision = p.revision + 1, lease_token = NULL, lease_until = NULL"
_RENEW = _of_held("lease_until = analytics_now() + :hold").bindparams(bindparam("hold", type_=Interval))
_END = _of_held(
    f"state = l.state, result = l.result, error_reason = l.reason, error_message = l.message, completed_at = analytics_now(), {_OVER}",
    state="text",
    result="jsonb",
    reason="text",
    message="text",
)
_HAND_BACK = _of_held(
    f"state = 'QUEUED', schedule_time = analytics_now() + l.delay, failures = l.failures, acknowledged = false, {_OVER}",
    failures="int",
    delay="interval",
)


async def acknowledge(tx: Tx, starts: Sequence[Start], hold: timedelta) -> Sequence[Lease]:
    """Take over claimed starts; one that is not (or no longer) this start, or was taken already, is left out."""
    parameters = {
        "orgs": [start.org for start in starts],
        "jobs": [start.job_id for start in starts],
        "generations": [start.generation for start in starts],
        "attempts": [start.attempt for start in starts],
        "hold": hold,
    }
    return [_lease(row) for row in await tx.all(_ACKNOWLEDGE, parameters)]


async def renew(tx: Tx, leases: Sequence[Lease], hold: timedelta) -> Sequence[Lease]:
    """Extend leases; returns those that are still held."""
    return _of(leases, await tx.all(_RENEW, {**_keys(leases), "hold": hold}))


async def end(tx: Tx, outcomes: Mapping[Lease, Outcome]) -> Sequence[Lease]:
    """End jobs with a result or an error; returns the leases that were still held, the others' jobs stay as they are."""
    held = list(outcomes)
    ends = [outcomes[lease] for lease in held]
    failures = [outcome if isinstance(outcome, JobFailure) else None for outcome in ends]
    parameters = {
        **_keys(held),
        "state": [JobState.FAILED if failure else JobState.COMPLETED for failure in failures],
        "result": [None if isinstance(outcome, JobFailure) else json.dumps(to_json(outcome)) for outcome in ends],
        "reason": [failure.reason if failure else None for failure in failures],
        "message": [failure.message if failure else None for failure in failures],
    }
    return _changed(tx, _of(held, await tx.all(_END, parameters)))


async def retry(tx: Tx, delays: Mapping[Lease, timedelta]) -> Sequence[Lease]:
    """Queue jobs again after a failure of each, to be started after its delay; returns the leases that were still held."""
    return await _queue(tx, delays, failed=1)


async def hand_back(tx: Tx, leases: Sequence[Lease]) -> Sequence[Lease]:
    """Queue jobs again to be started at once, elsewhere; returns the leases that were still held."""
    return await _queue(tx, dict.fromkeys(leases, timedelta()), failed=0)


async def _queue(tx: Tx, delays: Mapping[Lease, timedelta], failed: int) -> Sequence[Lease]:
    held = list(delays)
    parameters = {
        **_keys(held),
        "failures": [lease.failures + failed for lease in held],
        "delay": [delays[lease] for lease in held],
    }
    return _changed(tx, _of(held, await tx.all(_HAND_BACK, parameters)))


def _keys(leases: Sequence[Lease]) -> Mapping[str, object]:
    return {
        "org": [lease.org for lease in leases],
        "job": [lease.job_id for lease in leases],
        "token": [lease.token for lease in leases],
    }


def _of(leases: Sequence[Lease], rows: Sequence[Record]) -> Sequence[Lease]:
    kept = {(row.org_id, row.job_id) for row in rows}
    return [lease for lease in leases if (lease.org, lease.job_id) in kept]


def _changed(tx: Tx, leases: Sequence[Lease]) -> Sequence[Lease]:
    for lease in leases:
        tx.wake(topic(lease.job_id))
    if leases:
        tx.wake(QUEUED_TOPIC)
    return leases


def _lease(row: Record) -> Lease:
    return Lease(
        OrgId(row.org_id),
        JobId(row.job_id),
        row.lease_token,
        ModelId(row.model_id),
        ModelType(row.model_type),
        row.model_version,
        row.generation,
        row.attempt,
        row.failures,
        row.traceparent,
    )
