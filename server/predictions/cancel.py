"""Cancel a job that has not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audit import store as audit
from server.audit.model import Act
from server.errors import AnalyticsError, Kind, Reason, Resource, not_found
from server.events import store as events
from server.events.model import Cause, PredictionCancelled
from server.predictions import store
from server.predictions.model import JobState

if TYPE_CHECKING:
    from server.audit.model import Origin
    from server.db import Tx
    from server.identity import JobId
    from server.predictions.model import PredictionJob


async def cancel_prediction(tx: Tx, origin: Origin, job_id: JobId) -> tuple[PredictionJob, bool]:
    """End a job as CANCELLED; returns it, and whether that is new: one that is CANCELLED already stays as it is.

    A worker that computes it meanwhile finds its lease gone and drops the result.

    Raises:
        AnalyticsError: PREDICTION_JOB_NOT_FOUND, or INVALID_STATE_TRANSITION for a job that COMPLETED or FAILED.

    """
    cancelled = await store.cancel(tx, origin.org, job_id)
    if cancelled is not None:
        await audit.record(tx, origin, Act("prediction.cancelled", "prediction_job", str(job_id)))
        event = PredictionCancelled(job_id, cancelled.generation, cancelled.model_type.value, cancelled.model_version)
        await events.append(tx, origin.org, event, Cause(origin.request_id, ""))
        return cancelled, True
    job = await store.get(tx, origin.org, job_id)
    if job is None:
        raise not_found(Reason.PREDICTION_JOB_NOT_FOUND, "prediction_job", str(job_id))
    if job.state is not JobState.CANCELLED:
        raise AnalyticsError(
            Kind.FAILED_PRECONDITION,
            Reason.INVALID_STATE_TRANSITION,
            f"the job is {job.state} already and cannot be cancelled",
            resource=Resource("prediction_job", str(job_id)),
        )
    return job, False
