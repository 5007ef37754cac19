"""Start a job now, because an operator asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import AnalyticsError, FieldViolation, Kind, Reason, Resource
from server.identity import RunId
from server.schedule import store

if TYPE_CHECKING:
    from uuid import UUID

    from server.db import Tx
    from server.schedule.model import Order, Run


async def run_now(tx: Tx, order: Order, new_id: UUID) -> Run:
    """Queue a run, or return the one that the same request made before.

    Raises:
        AnalyticsError: JOB_RUN_EXISTS, a run of the job and scope is unfinished; IDEMPOTENCY_KEY_REUSED.

    """
    if order.request_id:
        earlier = await store.by_request(tx, order.user, order.request_id)
        if earlier is not None:
            return _same(earlier, order)
        await store.forget_request(tx, order.user, order.request_id)
    added = await store.add(tx, RunId(new_id), order)
    if order.request_id and not added:
        # The same request may have come twice at once; the insert waited for the other one.
        earlier = await store.by_request(tx, order.user, order.request_id)
        if earlier is not None:
            return _same(earlier, order)
    run = await store.get(tx, RunId(new_id)) if added else await store.unfinished(tx, order.job, order.scope)
    if run is None:
        raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another request of this run was faster; retry")
    if not added:
        raise AnalyticsError(
            Kind.ALREADY_EXISTS,
            Reason.JOB_RUN_EXISTS,
            f"a run of {order.job}{f' for {order.scope}' if order.scope else ''} is not finished; watch it or wait for its end",
            resource=Resource("job_run", str(run.run_id)),
        )
    return run


def _same(earlier: tuple[Run, bytes], order: Order) -> Run:
    run, request_hash = earlier
    if request_hash != order.request_hash:
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT,
            Reason.IDEMPOTENCY_KEY_REUSED,
            "request_id: was already used for a different request; take a new UUID for a new request",
            violations=[FieldViolation("request_id", "was already used for a different request")],
        )
    return run
