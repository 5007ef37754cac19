"""End a job under its lease: result or error, and the event that tells of it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.events import store as events
from server.events.model import Cause, PredictionCompleted, PredictionFailed
from server.predictions import store

if TYPE_CHECKING:
    from server.db import Tx
    from server.identity import JobId
    from server.predictions.model import JobFailure, Lease, TurnoverResult


async def complete_prediction(tx: Tx, lease: Lease, result: TurnoverResult) -> bool:
    """End a job with its result; False when the lease is somebody else's by now, and then nothing is written."""
    mine = await store.complete(tx, lease, result)
    if mine:
        await events.append(tx, lease.org, PredictionCompleted(*_what(lease)), _cause(lease))
    return mine


async def fail_prediction(tx: Tx, lease: Lease, failure: JobFailure) -> bool:
    """End a job with an error; False when the lease is somebody else's by now, and then nothing is written."""
    mine = await store.fail(tx, lease, failure)
    if mine:
        await events.append(tx, lease.org, PredictionFailed(*_what(lease)), _cause(lease))
    return mine


def _what(lease: Lease) -> tuple[JobId, int, str, str]:
    return lease.job_id, lease.generation, lease.model_type.value, lease.model_version


def _cause(lease: Lease) -> Cause:
    return Cause(str(lease.job_id), lease.traceparent)
