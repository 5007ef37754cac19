"""The prediction queue's figures as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.admin.v1 import operations_service_pb2 as pb

from server.wire.times import timestamp

if TYPE_CHECKING:
    from server.predictions.backlog.room import Caps
    from server.predictions.backlog.store import Figures, OrgQueue
    from server.predictions.dispatch.store import Limit, Limits


def queue_message(figures: Figures) -> pb.GetPredictionQueueResponse:
    """Return the answer without limits and organizations."""
    message = pb.GetPredictionQueueResponse(
        waiting_due=figures.due,
        waiting_later=figures.later,
        running=figures.running,
        starts_last_minute=figures.starts,
        time=timestamp(figures.at),
    )
    if figures.oldest_wait is not None:
        message.oldest_wait.FromTimedelta(figures.oldest_wait)
    return message


def organization_message(queue: OrgQueue) -> pb.OrganizationPredictionQueue:
    """Return what one organization has in the queue."""
    return pb.OrganizationPredictionQueue(
        org_id=queue.org, waiting=queue.waiting, running=queue.running, last_start_time=timestamp(queue.last_start)
    )


def limits_message(limits: Limits, caps: Caps) -> pb.PredictionLimits:
    """Return the limits; none is 0."""
    return pb.PredictionLimits(
        per_organization=_limit(limits.per_org, caps.per_org),
        per_model_type=_limit(limits.per_model_type, 0),
        in_all=_limit(limits.in_all, caps.in_all),
    )


def _limit(limit: Limit, waiting: int) -> pb.PredictionLimit:
    return pb.PredictionLimit(running=limit.running or 0, starts_per_minute=limit.starts_per_minute or 0, waiting=waiting)
