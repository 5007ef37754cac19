"""OperationsService: what runs by the clock, and what runs did for each organization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.admin.v1 import operations_service_pb2 as pb

from server.identity import RunId
from server.rpc.operations import unknown_run, versions
from server.rpc.origins import uuid
from server.rpc.pages import bound, page_size, seal, unseal
from server.schedule import store
from server.schedule.calendar import CALENDAR
from server.schedule.ledger import store as ledger
from server.schedule.marks import store as marks
from server.wire.runs import mark_message, outcome_filter, run_message, schedule_message
from server.wire.times import timestamp

if TYPE_CHECKING:
    from server.app import App
    from server.db import ReadTx
    from server.rpc.call import Call
    from server.schedule.ledger.model import Standing


class ScheduleRpcs:
    """For operators; of organizations it reads ids."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def list_schedules(self, request: pb.ListSchedulesRequest, call: Call) -> pb.ListSchedulesResponse:
        """List the calendar with what the ledger says of it."""
        del request, call
        async with self._app.db.platform() as tx:
            now = await ledger.present(tx)
            found = await ledger.look(tx, sorted(CALENDAR, key=lambda schedule: schedule.job))
            schedules = [await _schedule(tx, standing) for standing in found]
        return pb.ListSchedulesResponse(schedules=schedules, time=timestamp(now))

    async def list_job_run_organizations(
        self, request: pb.ListJobRunOrganizationsRequest, call: Call
    ) -> pb.ListJobRunOrganizationsResponse:
        """List the marks of a run."""
        run_id = RunId(uuid(request.run_id))
        keys, binding = bound(self._app.settings, call, request)
        _, after = unseal(keys, binding, request.page_token) if request.page_token else (0, "")
        size = page_size(request.page_size)
        async with self._app.db.platform() as tx:
            if await store.get(tx, run_id) is None:
                raise unknown_run(run_id)
            found = await marks.page(tx, run_id, outcome_filter(request.outcome), after, size + 1)
        shown = found[:size]
        response = pb.ListJobRunOrganizationsResponse(organizations=map(mark_message, shown))
        if len(found) > size:
            response.next_page_token = seal(keys, binding, (0, shown[-1].entry.org))
        return response


async def _schedule(tx: ReadTx, standing: Standing) -> pb.Schedule:
    newest = await store.page(tx, None, [standing.schedule.job], None, 1)
    return schedule_message(standing, run_message(newest[0], await versions(tx, newest[0])) if newest else None)
