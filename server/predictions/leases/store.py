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
    from collections.abc import Collection, Mapping, Sequence

    from server.db import Tx
    from server.db.transaction import Record
    from server.predictions.model import Outcome, Start

_ACKNOWLEDGE = text(
    """
    UPDATE prediction_jobs p SET acknowledged = true, lease_until = analytics_now() + :hold
    FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[]), CAST(:generations AS int[]), CAST(:attempts AS int[]))
        AS s (org_id, job_id, generation, attempt)
    WHERE p.org_id = s.org_id AND p.job_id = s.job_id AND p.generation = s.generation AND p.attempt = s.attempt
        AND p.state = 'RUNNING' AND NOT p.acknowledged
    RETURNING p.org_id, p.job_id, p.lease_token, p.model_id, p.model_type, p.model_version, p.generation, p.attempt, p.failures,
        p.traceparent
    """
).bindparams(bindparam("hold", type_=Interval))

_HELD = "p.org_id = l.org_id AND p.job_id = l.job_id AND p.lease_token = l.token AND p.state = 'RUNNING'"

_RENEW = text(
    f"""
    UPDATE prediction_jobs p SET lease_until = analytics_now() + :hold
    FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[]), CAST(:tokens AS uuid[])) AS l (org_id, job_id, token)
    WHERE {_HELD} RETURNING p.org_id, p.job_id
    """  # noqa: S608 - put together from constants
).bindparams(bindparam("hold", type_=Interval))

_END = text(
    f"""
    UPDATE prediction_jobs p
    SET state = l.state, result = l.result, error_reason = l.reason, error_message = l.message,
        completed_at = analytics_now(), revision = p.revision + 1, lease_token = NULL, lease_until = NULL
    FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[]), CAST(:tokens AS uuid[]), CAST(:states AS text[]),
            CAST(:results AS jsonb[]), CAST(:reasons AS text[]), CAST(:messages AS text[]))
        AS l (org_id, job_id, token, state, result, reason, message)
    WHERE {_HELD} RETURNING p.org_id, p.job_id
    """  # noqa: S608 - as above
)

_HAND_BACK = text(
    f"""
    UPDATE prediction_jobs p
    SET state = 'QUEUED', schedule_time = analytics_now() + l.delay, failures = l.failures, revision = p.revision + 1,
        lease_token = NULL, lease_until = NULL, acknowledged = false
    FROM unnest(CAST(:orgs AS text[]), CAST(:jobs AS uuid[]), CAST(:tokens AS uuid[]), CAST(:failures AS int[]),
            CAST(:delays AS interval[]))
        AS l (org_id, job_id, token, failures, delay)
    WHERE {_HELD} RETURNING p.org_id, p.job_id
    """  # noqa: S608 - as above
)


async def acknowledge(tx: Tx, starts: Sequence[Start], hold: timedelta) -> Sequence[Lease]:
    """Take over claimed starts; one that is not (or no longer) this start, or was taken already, is left out."""
    # In one order everywhere, so that two transactions never wait for each other's rows.
    ordered = sorted(starts, key=lambda start: (start.org, start.job_id))
    parameters = {
        "orgs": [start.org for start in ordered],
        "jobs": [start.job_id for start in ordered],
        "generations": [start.generation for start in ordered],
        "attempts": [start.attempt for start in ordered],
        "hold": hold,
    }
    return [_lease(row) for row in await tx.all(_ACKNOWLEDGE, parameters)]


async def renew(tx: Tx, leases: Sequence[Lease], hold: timedelta) -> Sequence[Lease]:
    """Extend leases; returns those that are still held."""
    held = _held(leases)
    return _of(held, await tx.all(_RENEW, {**_keys(held), "hold": hold}))


async def end(tx: Tx, outcomes: Mapping[Lease, Outcome]) -> Sequence[Lease]:
    """End jobs with a result or an error; returns the leases that were still held, the others' jobs stay as they are."""
    held = _held(outcomes)
    ends = [outcomes[lease] for lease in held]
    failures = [outcome if isinstance(outcome, JobFailure) else None for outcome in ends]
    parameters = {
        **_keys(held),
        "states": [JobState.FAILED if failure else JobState.COMPLETED for failure in failures],
        "results": [None if isinstance(outcome, JobFailure) else json.dumps(to_json(outcome)) for outcome in ends],
        "reasons": [failure.reason if failure else None for failure in failures],
        "messages": [failure.message if failure else None for failure in failures],
    }
    return _changed(tx, _of(held, await tx.all(_END, parameters)))


async def retry(tx: Tx, delays: Mapping[Lease, timedelta]) -> Sequence[Lease]:
    """Queue jobs again after a failure of each, to be started after its delay; returns the leases that were still held."""
    return await _queue(tx, delays, failed=1)


async def hand_back(tx: Tx, leases: Sequence[Lease]) -> Sequence[Lease]:
    """Queue jobs again to be started at once, elsewhere; returns the leases that were still held."""
    return await _queue(tx, dict.fromkeys(leases, timedelta()), failed=0)


async def _queue(tx: Tx, delays: Mapping[Lease, timedelta], failed: int) -> Sequence[Lease]:
    held = _held(delays)
    parameters = {
        **_keys(held),
        "failures": [lease.failures + failed for lease in held],
        "delays": [delays[lease] for lease in held],
    }
    return _changed(tx, _of(held, await tx.all(_HAND_BACK, parameters)))


def _held(leases: Collection[Lease]) -> Sequence[Lease]:
    return sorted(leases, key=lambda lease: (lease.org, lease.job_id))


def _keys(leases: Sequence[Lease]) -> Mapping[str, object]:
    return {
        "orgs": [lease.org for lease in leases],
        "jobs": [lease.job_id for lease in leases],
        "tokens": [lease.token for lease in leases],
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
