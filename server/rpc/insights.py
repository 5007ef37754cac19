"""AnalyticsService: insights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import insights_pb2 as pb

from server.errors import Reason, not_found
from server.identity import InsightId
from server.insights.dismiss import dismiss_insight, read_again
from server.insights.reading import store as reading
from server.insights.reading.store import Wanted
from server.insights.view import mark_viewed
from server.rpc.once import once
from server.rpc.origins import origin, uuid
from server.rpc.pages import page_of
from server.rpc.ready import Ready
from server.wire import insights as wire

if TYPE_CHECKING:
    from server.app import App
    from server.db import Tx
    from server.rpc.call import Call


class InsightRpcs:
    """List, read, view and dismiss insights."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def get_insights(self, request: pb.GetInsightsRequest, call: Call) -> Ready[pb.GetInsightsResponse]:
        """List active insights, newest first."""
        page = page_of(self._app.settings, call, request)
        category = wire.category_filter(request.category)
        wanted = Wanted(call.caller.user_id, category, request.insight_type, request.min_confidence, request.unviewed_only)
        found = await reading.page(self._app.db, call.caller.org, wanted, page.before, page.size + 1)
        shown, token = page.cut(found, lambda row: (row.shown_at, row.insight_id))
        return Ready(wire.page_bytes(((row.message, row.viewed) for row in shown), token))

    async def get_insight(self, request: pb.GetInsightRequest, call: Call) -> Ready[pb.GetInsightResponse]:
        """Read an active insight."""
        insight_id = InsightId(uuid(request.insight_id))
        found = await reading.get(self._app.db, call.caller.org, call.caller.user_id, insight_id)
        if found is None:
            raise not_found(Reason.INSIGHT_NOT_FOUND, "insight", str(insight_id))
        return Ready(wire.one_bytes(found.message, viewed=found.viewed))

    async def mark_insights_viewed(self, request: pb.MarkInsightsViewedRequest, call: Call) -> pb.MarkInsightsViewedResponse:
        """Note what the caller has seen."""
        ids = [InsightId(uuid(each)) for each in request.insight_ids]
        async with self._app.tx(call.caller.org) as tx:
            await mark_viewed(tx, origin(call), ids)
        return pb.MarkInsightsViewedResponse()

    async def dismiss_insight(self, request: pb.DismissInsightRequest, call: Call) -> pb.DismissInsightResponse:
        """Dismiss an insight."""
        insight_id = InsightId(uuid(request.insight_id))

        async def act(tx: Tx) -> pb.DismissInsightResponse:
            dismissed = await dismiss_insight(tx, origin(call), insight_id)
            return pb.DismissInsightResponse(insight=wire.message_as_it_is(dismissed))

        async def replayed(tx: Tx, answer: pb.DismissInsightResponse) -> None:
            answer.insight.CopyFrom(wire.message_as_it_is(await read_again(tx, origin(call), insight_id)))

        # Insights name people: a copy that is kept would outlive their erasure.
        return await once(self._app, call, request, pb.DismissInsightResponse, act, replayed, keep=False)
