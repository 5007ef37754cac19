"""End jobs under their leases: results or errors, and the events that tell of them, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.events import store as events
from server.events.model import Cause, PredictionCompleted, PredictionFailed, Told
from server.predictions.leases import store
from server.predictions.model import JobFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.db import Tx
    from server.predictions.model import Lease, Outcome


async def finish_predictions(tx: Tx, outcomes: Mapping[Lease, Outcome]) -> Sequence[Lease]:
    """End jobs; returns the leases that were still held. Nothing is written for the others, they are somebody else's by now."""
    mine = await store.end(tx, outcomes)
    await events.append_all(tx, [_event(lease, outcomes[lease]) for lease in mine])
    return mine


def _event(lease: Lease, outcome: Outcome) -> Told:
    kind = PredictionFailed if isinstance(outcome, JobFailure) else PredictionCompleted
    event = kind(lease.job_id, lease.generation, lease.model_type.value, lease.model_version)
    return Told(lease.org, event, Cause(str(lease.job_id), lease.traceparent))
