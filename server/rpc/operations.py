"""OperationsService: background jobs and what this server is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from analytics.admin.v1 import operations_service_pb2 as pb

import server
from server.db import about
from server.errors import Reason, not_found
from server.identity import RunId
from server.registry import store as registry
from server.rpc.origins import uuid
from server.rpc.pages import page_of
from server.rpc.request_hash import request_hash
from server.rpc.watches import follow
from server.schedule import store
from server.schedule.model import Order, Run, RunState, topic
from server.schedule.run_now import run_now
from server.wire.runs import job_of, model_ids, run_message, run_state_filter
from server.wire.times import timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from server.app import App
    from server.db import ReadTx
    from server.errors import AnalyticsError
    from server.registry.model import Model
    from server.rpc.call import Call

_LOOK_EVERY_SECONDS = 2.0
_STARTED = datetime.now(UTC)


class OperationRpcs:
    """For operators; reads no tenant data."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def run_job(self, request: pb.RunJobRequest, call: Call) -> pb.RunJobResponse:
        """Queue a run."""
        job, scope = job_of(request)
        order = Order(
            job=job,
            scope=scope,
            user=call.caller.user_id,
            request_id=request.request_id,
            request_hash=request_hash(request),
            traceparent=call.traceparent,
        )
        async with self._app.db.platform() as tx:
            run = await run_now(tx, order, uuid4())
            return pb.RunJobResponse(run=run_message(run, await versions(tx, run)))

    async def get_job_run(self, request: pb.GetJobRunRequest, call: Call) -> pb.GetJobRunResponse:
        """Read a run."""
        del call
        run = await self._run(RunId(uuid(request.run_id)))
        async with self._app.db.platform() as tx:
            return pb.GetJobRunResponse(run=run_message(run, await versions(tx, run)))

    async def list_job_runs(self, request: pb.ListJobRunsRequest, call: Call) -> pb.ListJobRunsResponse:
        """List runs, newest first."""
        page = page_of(self._app.settings, call, request)
        async with self._app.db.platform() as tx:
            runs = await store.page(tx, run_state_filter(request.state), request.kinds, page.before, page.size + 1)
            shown, token = page.cut(runs, lambda run: (run.created_at, run.run_id))
            messages = [run_message(run, await versions(tx, run)) for run in shown]
        return pb.ListJobRunsResponse(runs=messages, next_page_token=token)

    async def watch_job_run(self, request: pb.WatchJobRunRequest, call: Call) -> AsyncIterator[pb.WatchJobRunResponse]:
        """Stream the revisions of a run."""
        run_id = RunId(uuid(request.run_id))
        with self._app.bell.waiting(topic(run_id)) as changed:
            runs = follow(
                lambda: self._run(run_id),
                lambda run: run.state in (RunState.COMPLETED, RunState.FAILED),
                changed,
                call.draining,
                after_revision=request.after_revision,
                look_every=_LOOK_EVERY_SECONDS,
            )
            async for run in runs:
                if run is None:
                    yield pb.WatchJobRunResponse(heartbeat=True)
                else:
                    async with self._app.db.platform() as tx:
                        models = await versions(tx, run)
                    yield pb.WatchJobRunResponse(run=run_message(run, models))

    async def get_service_info(self, request: pb.GetServiceInfoRequest, call: Call) -> pb.GetServiceInfoResponse:
        """Say what this server is."""
        del request, call
        async with self._app.db.platform() as tx:
            schema, database = await about.revisions(tx)
        return pb.GetServiceInfoResponse(
            version=server.__version__,
            schema_revision=schema,
            database_version=database,
            queue_reachable=await self._app.valkey.ping(),
            start_time=timestamp(_STARTED),
        )

    async def _run(self, run_id: RunId) -> Run:
        async with self._app.db.platform() as tx:
            run = await store.get(tx, run_id)
        if run is None:
            raise unknown_run(run_id)
        return run


async def versions(tx: ReadTx, run: Run) -> Mapping[str, Model]:
    """Return the versions that a run registered, by the text of their ids."""
    found = [await registry.get(tx, model_id) for model_id in model_ids(run)]
    return {str(model.model_id): model for model in found if model is not None}


def unknown_run(run_id: RunId) -> AnalyticsError:
    """Return the answer to the id of no run."""
    return not_found(Reason.JOB_RUN_NOT_FOUND, "job_run", str(run_id))
