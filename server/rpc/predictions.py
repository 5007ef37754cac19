"""AnalyticsService: predictions."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2 as pb

from server import failpoints
from server.errors import Reason, not_found
from server.identity import JobId
from server.predictions import store
from server.predictions.at_once import store as at_once
from server.predictions.at_once.fresh import accept_at_once
from server.predictions.at_once.repeats import RememberedModels
from server.predictions.backlog.room import Room, caps
from server.predictions.cancel import cancel_prediction
from server.predictions.model import JobFilter
from server.predictions.request import Accepted, Prepared, accept, check, count, find_twin, read_basis
from server.queue import QueueUnavailable
from server.rpc.accepting import accepted_message, asked_for, audit_replay, kept_inputs
from server.rpc.once import earlier_answer, once
from server.rpc.origins import origin, uuid
from server.rpc.pages import page_of
from server.rpc.watches import either, follow
from server.telemetry import metrics
from server.wire.models import model_type_filter
from server.wire.predictions import ended, job_message, job_state_filter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.app import App
    from server.db import Tx
    from server.predictions.model import PredictionJob
    from server.predictions.request import Wanted
    from server.rpc.call import Call

_ANSWER_MARGIN_SECONDS = 0.1
"""Kept from a wait so that the answer still arrives before the caller's deadline."""


class PredictionRpcs:
    """Request, read, list, cancel and watch prediction jobs."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app
        self._models = RememberedModels(app.db)

    async def request_prediction(self, request: pb.RequestPredictionRequest, call: Call) -> pb.RequestPredictionResponse:
        """Accept a request; see the contract."""
        # First, because it names the field of a value that the hash of the request has no form for.
        asked = asked_for(request)
        earlier = await earlier_answer(self._app, call, request, pb.RequestPredictionResponse)
        if earlier is not None:
            async with self._app.tx(call.caller.org) as tx:
                await audit_replay(call, tx, earlier)
            return earlier
        prepared = await self._prepare(asked, call, repeatable=not request.request_id)
        if isinstance(prepared, Accepted):
            return accepted_message(prepared)
        async with kept_inputs(self._app, [prepared], call) as queued:
            response = await self._accept(request, prepared, call)
            await failpoints.passing("request.committed")
            queued.update([response.job_id] if not response.deduplicated else [])
        return response

    async def get_prediction_job(self, request: pb.GetPredictionJobRequest, call: Call) -> pb.GetPredictionJobResponse:
        """Read a job, waiting for its end if asked to."""
        job_id = JobId(uuid(request.job_id))
        job = await self._load(job_id, call)
        seconds = request.wait.ToTimedelta().total_seconds()
        if seconds > 0 and not ended(job.state):
            job = await self._wait_for_end(job_id, call, min(seconds, call.remaining() - _ANSWER_MARGIN_SECONDS))
        return pb.GetPredictionJobResponse(job=job_message(job))

    async def list_prediction_jobs(self, request: pb.ListPredictionJobsRequest, call: Call) -> pb.ListPredictionJobsResponse:
        """List jobs, newest first."""
        page = page_of(self._app.settings, call, request)
        shown_jobs = JobFilter(model_type_filter(request.model_type), job_state_filter(request.state))
        async with self._app.read(call.caller.org) as tx:
            jobs = await store.page(tx, call.caller.org, shown_jobs, page.before, page.size + 1)
        shown, token = page.cut(jobs, lambda job: (job.created_at, job.job_id))
        return pb.ListPredictionJobsResponse(jobs=[job_message(job) for job in shown], next_page_token=token)

    async def cancel_prediction_job(self, request: pb.CancelPredictionJobRequest, call: Call) -> pb.CancelPredictionJobResponse:
        """Cancel a job."""
        job_id = JobId(uuid(request.job_id))
        ended_now: list[PredictionJob] = []

        async def act(tx: Tx) -> pb.CancelPredictionJobResponse:
            job, is_new = await cancel_prediction(tx, origin(call), job_id)
            ended_now.extend([job] if is_new else [])
            return pb.CancelPredictionJobResponse(job=job_message(job))

        response = await once(self._app, call, request, pb.CancelPredictionJobResponse, act)
        for job in ended_now:
            metrics.PREDICTIONS_ENDED.labels(job.model_type, job.state).inc()
        with contextlib.suppress(QueueUnavailable):
            await self._app.inputs.forget(call.caller.org, job_id, response.job.generation)
        return response

    async def watch_prediction_job(self, request: pb.WatchPredictionJobRequest, call: Call) -> AsyncIterator[pb.WatchPredictionJobResponse]:
        """Stream the revisions of a job."""
        job_id = JobId(uuid(request.job_id))
        with self._app.watched.watching(call.caller.org, job_id) as changed:
            jobs = follow(
                lambda: self._load(job_id, call),
                lambda job: ended(job.state),
                changed,
                call.draining,
                after_revision=request.after_revision,
            )
            async for job in jobs:
                if job is None:
                    yield pb.WatchPredictionJobResponse(heartbeat=True)
                else:
                    yield pb.WatchPredictionJobResponse(job=job_message(job))

    async def _load(self, job_id: JobId, call: Call) -> PredictionJob:
        job = await at_once.get(self._app.db, call.caller.org, job_id)
        if job is None:
            raise not_found(Reason.PREDICTION_JOB_NOT_FOUND, "prediction_job", str(job_id))
        return job

    async def _wait_for_end(self, job_id: JobId, call: Call, seconds: float) -> PredictionJob:
        """Return the job once it ended, or as it stands after `seconds` or on shutdown."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        with self._app.watched.watching(call.caller.org, job_id) as changed:
            while True:
                changed.clear()
                job = await self._load(job_id, call)
                if ended(job.state) or clock() >= until or call.draining.is_set():
                    return job
                changed.saw(job.revision)
                await either(changed, call.draining, max(until - clock(), 0.0))

    async def _prepare(self, asked: Wanted, call: Call, *, repeatable: bool) -> Prepared | Accepted:
        """Check a request and look for its twin; a duplicate that needs no remembered answer is done with this."""
        if repeatable and (quick := await self._models.request(origin(call), asked, call.traceparent)) is not None:
            return quick
        async with self._app.read(call.caller.org) as tx:
            basis = await read_basis(tx, origin(call), asked)
            prepared = await find_twin(tx, origin(call), check(basis, asked), call.traceparent)
        self._models.remember(basis)
        return prepared

    async def _accept(self, request: pb.RequestPredictionRequest, prepared: Prepared, call: Call) -> pb.RequestPredictionResponse:
        """Accept a checked request: in one statement where nothing stands against it, else in a transaction that knows every case."""
        backlog = caps(self._app.settings)
        if not request.request_id and (accepted := await accept_at_once(self._app.db, origin(call), prepared, backlog)) is not None:
            return accepted_message(accepted)
        done: list[Accepted] = []

        async def act(tx: Tx) -> pb.RequestPredictionResponse:
            done.append(await accept(tx, origin(call), prepared, Room(backlog)))
            return accepted_message(done[0])

        response = await once(self._app, call, request, pb.RequestPredictionResponse, act, partial(audit_replay, call))
        count(done)
        return response
