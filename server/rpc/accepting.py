"""What accepting a prediction takes at the edge, alone or in a batch."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2 as pb

from server.audit import store as audit
from server.audit.model import Act
from server.errors import AnalyticsError, Kind, Reason, invalid_argument
from server.predictions.request import drop_input, keep_input
from server.queue import QueueUnavailable
from server.rpc.origins import origin
from server.wire.models import model_type
from server.wire.prediction_inputs import wanted
from server.wire.predictions import job_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.app import App
    from server.db import Tx
    from server.predictions.request import Accepted, Prepared, Wanted
    from server.rpc.call import Call

MAX_AHEAD = timedelta(hours=24)


def asked_for(message: pb.RequestPredictionRequest | pb.PredictionInput, prefix: str = "") -> Wanted:
    """Return the request as the use case takes it; a `schedule_time` that is too far ahead is refused."""
    asked, path = wanted(message, prefix), f"{prefix}schedule_time"
    if asked.schedule_time is not None and asked.schedule_time > datetime.now(UTC) + MAX_AHEAD:
        raise invalid_argument(path, "is more than 24 hours ahead")
    return asked


@asynccontextmanager
async def kept_inputs(app: App, prepared: Sequence[Prepared], call: Call) -> AsyncIterator[set[str]]:
    """Keep the inputs of new jobs while the block queues them; drop those whose job id it does not put into the set."""
    new = [each for each in prepared if not each.answered]
    try:
        await asyncio.gather(*(keep_input(app.inputs, origin(call), each) for each in new))
    except QueueUnavailable as error:
        # What was kept nevertheless expires: to wait for a silent Valkey once more would make the caller wait too.
        raise AnalyticsError(
            Kind.UNAVAILABLE, Reason.QUEUE_UNAVAILABLE, "the queue cannot be reached; nothing was accepted, retry", retry_after=1.0
        ) from error
    queued: set[str] = set()
    try:
        yield queued
    except AnalyticsError:
        await _drop(app, new, queued, call)
        raise
    # Any other failure leaves open whether the commit happened: then the input stays until its time is over.
    await _drop(app, new, queued, call)


async def _drop(app: App, new: Sequence[Prepared], queued: set[str], call: Call) -> None:
    """Remove the inputs of jobs that do not exist; the input of a job that was queued again has its key in common with a rival's."""
    with contextlib.suppress(QueueUnavailable):
        for each in new:
            if each.twin is None and str(each.new.job_id) not in queued:
                await drop_input(app.inputs, origin(call), each)


async def audit_replay(call: Call, tx: Tx, first: pb.RequestPredictionResponse | pb.BatchRequestPredictionsResponse) -> None:
    """Record that predictions were asked for again under the same request id."""
    answers = (
        [first] if isinstance(first, pb.RequestPredictionResponse) else [item.accepted for item in first.items if item.HasField("accepted")]
    )
    for answer in answers:
        kind = model_type(answer.job.model_type).value
        details = {"model_type": kind, "model_version": answer.job.model_version, "deduplicated": "true"}
        await audit.record(tx, origin(call), Act("prediction.requested", "prediction_job", answer.job_id, details))


def accepted_message(accepted: Accepted) -> pb.RequestPredictionResponse:
    """Return the answer to a request that was accepted."""
    return pb.RequestPredictionResponse(job_id=str(accepted.job.job_id), deduplicated=accepted.deduplicated, job=job_message(accepted.job))
