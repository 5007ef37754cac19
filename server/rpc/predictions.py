"""AnalyticsService: predictions."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from analytics.v1 import predictions_pb2 as pb

from server import failpoints
from server.audit import store as audit
from server.audit.model import Act
from server.errors import AnalyticsError, Kind, Reason, invalid_argument, not_found
from server.identity import JobId
from server.predictions import store
from server.predictions.at_once import store as at_once
from server.predictions.at_once.fresh import accept_at_once
from server.predictions.at_once.repeats import RememberedModels
from server.predictions.backlog.room import Room, caps
from server.predictions.cancel import cancel_prediction
from server.predictions.model import JobFilter
from server.predictions.request import (
    Accepted,
    Basis,
    Checked,
    Prepared,
    accept,
    check,
    count,
    drop_input,
    find_twin,
    keep_input,
    read_basis,
)
from server.queue import QueueUnavailable
from server.rpc.once import earlier_answer, once
from server.rpc.origins import origin, uuid
from server.rpc.pages import page_of
from server.rpc.status import to_status_proto
from server.rpc.watches import either, follow
from server.wire.models import model_type_filter
from server.wire.predictions import ended, job_message, job_state_filter, wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from server.app import App
    from server.db import ReadTx, Tx
    from server.predictions.model import PredictionJob
    from server.predictions.request import Wanted
    from server.registry.model import ModelType
    from server.rpc.call import Call

MAX_AHEAD = timedelta(hours=24)

Result = TypeVar("Result")


class PredictionRpcs:
    """Request, read, list, cancel and watch prediction jobs."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app
        self._models = RememberedModels(app.db)

    async def request_prediction(self, request: pb.RequestPredictionRequest, call: Call) -> pb.RequestPredictionResponse:
        """Accept a request; see the contract."""
        # First, because it names the field of a value that the hash of the request has no form for.
        asked = _asked(request)
        earlier = await earlier_answer(self._app, call, request, pb.RequestPredictionResponse)
        if earlier is not None:
            async with self._app.tx(call.caller.org) as tx:
                await _audit_replay(call, tx, earlier)
            return earlier
        prepared = await self._prepare(asked, call, repeatable=not request.request_id)
        if isinstance(prepared, Accepted):
            return _accepted(prepared)
        async with self._kept([prepared], call) as queued:
            response = await self._accept(request, prepared, call)
            await failpoints.passing("request.committed")
            queued.update([response.job_id] if not response.deduplicated else [])
        return response

    async def batch_request_predictions(self, request: pb.BatchRequestPredictionsRequest, call: Call) -> pb.BatchRequestPredictionsResponse:
        """Accept or refuse each item by itself."""
        earlier = await earlier_answer(self._app, call, request, pb.BatchRequestPredictionsResponse)
        if earlier is not None:
            async with self._app.tx(call.caller.org) as tx:
                await _audit_replay(call, tx, earlier)
            return earlier
        outcomes = await self._prepare_each(request.predictions, call)
        done: list[Accepted] = []

        async def act(tx: Tx) -> pb.BatchRequestPredictionsResponse:
            items = await self._accept_each(tx, outcomes, call, done)
            return pb.BatchRequestPredictionsResponse(items=items)

        async with self._kept([outcome for outcome in outcomes if isinstance(outcome, Prepared)], call) as queued:
            response = await once(self._app, call, request, pb.BatchRequestPredictionsResponse, act, partial(_audit_replay, call))
            count(done)
            queued.update(item.accepted.job_id for item in response.items if not item.accepted.deduplicated)
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

        async def act(tx: Tx) -> pb.CancelPredictionJobResponse:
            return pb.CancelPredictionJobResponse(job=job_message(await cancel_prediction(tx, origin(call), job_id)))

        response = await once(self._app, call, request, pb.CancelPredictionJobResponse, act)
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

    @asynccontextmanager
    async def _kept(self, prepared: Sequence[Prepared], call: Call) -> AsyncIterator[set[str]]:
        """Keep the inputs of new jobs while the block queues them; drop those whose job id it does not put into the set."""
        new = [each for each in prepared if not each.answered]
        try:
            for each in new:
                await keep_input(self._app.inputs, origin(call), each)
        except QueueUnavailable as error:
            raise AnalyticsError(
                Kind.UNAVAILABLE, Reason.QUEUE_UNAVAILABLE, "the queue cannot be reached; nothing was accepted, retry", retry_after=1.0
            ) from error
        queued: set[str] = set()
        try:
            yield queued
        except AnalyticsError:
            await self._drop(new, queued, call)
            raise
        # Any other failure leaves open whether the commit happened: then the input stays until its time is over.
        await self._drop(new, queued, call)

    async def _drop(self, new: Sequence[Prepared], queued: set[str], call: Call) -> None:
        """Remove the inputs of jobs that do not exist; the input of a job that was queued again has its key in common with a rival's."""
        with contextlib.suppress(QueueUnavailable):
            for each in new:
                if each.twin is None and str(each.new.job_id) not in queued:
                    await drop_input(self._app.inputs, origin(call), each)

    async def _prepare_each(self, inputs: Sequence[pb.PredictionInput], call: Call) -> list[Prepared | AnalyticsError]:
        """Read, check and read again, so that no transaction is open while 500 inputs are checked."""
        asked = [_caught(partial(_asked, item, f"predictions[{index}].")) for index, item in enumerate(inputs)]
        known: dict[ModelType, Basis] = {}
        async with self._app.read(call.caller.org) as tx:
            based = [each if isinstance(each, AnalyticsError) else await self._based(tx, each, call, known) for each in asked]
        checked: list[Checked | AnalyticsError] = []
        for pair in based:
            checked.append(pair if isinstance(pair, AnalyticsError) else _caught(partial(check, *pair)))
            # Other callers have their turn between two inputs.
            await asyncio.sleep(0)
        async with self._app.read(call.caller.org) as tx:
            return [
                each if isinstance(each, AnalyticsError) else await find_twin(tx, origin(call), each, call.traceparent) for each in checked
            ]

    async def _based(self, tx: ReadTx, asked: Wanted, call: Call, known: dict[ModelType, Basis]) -> tuple[Basis, Wanted] | AnalyticsError:
        try:
            return await read_basis(tx, origin(call), asked, known), asked
        except AnalyticsError as error:
            return error

    async def _accept(self, request: pb.RequestPredictionRequest, prepared: Prepared, call: Call) -> pb.RequestPredictionResponse:
        """Accept a checked request: in one statement where nothing stands against it, else in a transaction that knows every case."""
        backlog = caps(self._app.settings)
        if not request.request_id and (accepted := await accept_at_once(self._app.db, origin(call), prepared, backlog)) is not None:
            return _accepted(accepted)
        done: list[Accepted] = []

        async def act(tx: Tx) -> pb.RequestPredictionResponse:
            done.append(await accept(tx, origin(call), prepared, Room(backlog)))
            return _accepted(done[0])

        response = await once(self._app, call, request, pb.RequestPredictionResponse, act, partial(_audit_replay, call))
        count(done)
        return response

    async def _accept_each(
        self, tx: Tx, outcomes: Sequence[Prepared | AnalyticsError], call: Call, done: list[Accepted]
    ) -> list[pb.BatchRequestPredictionsItem]:
        items = [pb.BatchRequestPredictionsItem() for _ in outcomes]
        prepared = [(index, outcome) for index, outcome in enumerate(outcomes) if isinstance(outcome, Prepared)]
        room = Room(caps(self._app.settings), wanted=len(prepared))
        # Two batches with the same inputs insert them in the same order, so neither waits for the other in a circle.
        for index, ready in sorted(prepared, key=lambda pair: pair[1].new.input_hash):
            try:
                accepted = await accept(tx, origin(call), ready, room)
            except AnalyticsError as error:
                items[index].error.CopyFrom(to_status_proto(error))
            else:
                done.append(accepted)
                items[index].accepted.CopyFrom(_accepted(accepted))
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, AnalyticsError):
                item.error.CopyFrom(to_status_proto(outcome))
        return items


_ANSWER_MARGIN_SECONDS = 0.1
"""Kept from a wait so that the answer still arrives before the caller's deadline."""


async def _audit_replay(call: Call, tx: Tx, first: pb.RequestPredictionResponse | pb.BatchRequestPredictionsResponse) -> None:
    """Record that predictions were asked for again under the same request id."""
    answers = (
        [first] if isinstance(first, pb.RequestPredictionResponse) else [item.accepted for item in first.items if item.HasField("accepted")]
    )
    for answer in answers:
        details = {"model_version": answer.job.model_version, "deduplicated": "true"}
        await audit.record(tx, origin(call), Act("prediction.requested", "prediction_job", answer.job_id, details))


def _accepted(accepted: Accepted) -> pb.RequestPredictionResponse:
    return pb.RequestPredictionResponse(job_id=str(accepted.job.job_id), deduplicated=accepted.deduplicated, job=job_message(accepted.job))


def _asked(message: pb.RequestPredictionRequest | pb.PredictionInput, prefix: str = "") -> Wanted:
    asked, path = wanted(message, prefix), f"{prefix}schedule_time"
    if asked.schedule_time is not None and asked.schedule_time > datetime.now(UTC) + MAX_AHEAD:
        raise invalid_argument(path, "is more than 24 hours ahead")
    return asked


def _caught(act: Callable[[], Result]) -> Result | AnalyticsError:
    """Return what `act` returns, or the error that refuses this one item."""
    try:
        return act()
    except AnalyticsError as error:
        return error
