"""OperationsService: how the prediction queue stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.db.engines import DbRole
from server.predictions.backlog import store
from server.predictions.backlog.room import caps
from server.predictions.dispatch.loop import limits
from server.rpc.pages import bound, page_size, seal, unseal
from server.wire.queue import limits_message, organization_message, queue_message

if TYPE_CHECKING:
    from analytics.admin.v1 import operations_service_pb2 as pb

    from server.app import App
    from server.rpc.call import Call


class QueueRpcs:
    """For operators; counts by organization and reads nothing else of them."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app
        self._limits = limits_message(limits(app.settings), caps(app.settings))

    async def get_prediction_queue(self, request: pb.GetPredictionQueueRequest, call: Call) -> pb.GetPredictionQueueResponse:
        """Count the queue, and the organizations of one page."""
        keys, binding = bound(self._app.settings, call, request)
        after = unseal(keys, binding, request.page_token) if request.page_token else None
        size = page_size(request.page_size)
        async with self._app.db.platform(DbRole.DISPATCH) as tx:
            figures = await store.figures(tx)
            found = await store.organizations(tx, after, size + 1)
        shown = found[:size]
        response = queue_message(figures)
        response.limits.CopyFrom(self._limits)
        response.organizations.extend(organization_message(each) for each in shown)
        if len(found) > size:
            response.next_page_token = seal(keys, binding, (shown[-1].waiting, shown[-1].org))
        return response
