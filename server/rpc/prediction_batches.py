"""AnalyticsService: many predictions in one call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2 as pb

from server.errors import AnalyticsError
from server.predictions.request import Accepted, Prepared, count
from server.rpc.accepting import accepted_message, asked_for, audit_replay, kept_inputs
from server.rpc.accepting_many import Ask, accept_each, caught, prepare_each
from server.rpc.once import earlier_answer, once
from server.rpc.origins import origin
from server.rpc.status import to_status_proto

if TYPE_CHECKING:
    from server.app import App
    from server.db import Tx
    from server.rpc.call import Call


class PredictionBatchRpcs:
    """Request up to 500 predictions, each accepted or refused by itself."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def batch_request_predictions(self, request: pb.BatchRequestPredictionsRequest, call: Call) -> pb.BatchRequestPredictionsResponse:
        """Accept or refuse each item by itself."""
        earlier = await earlier_answer(self._app, call, request, pb.BatchRequestPredictionsResponse)
        if earlier is not None:
            async with self._app.tx(call.caller.org) as tx:
                await audit_replay(call, tx, earlier)
            return earlier
        who = origin(call)
        asked = [caught(partial(_ask, item, f"predictions[{index}].", call)) for index, item in enumerate(request.predictions)]
        outcomes = await prepare_each(self._app, call.caller.org, asked)
        done: list[Accepted] = []

        async def act(tx: Tx) -> pb.BatchRequestPredictionsResponse:
            accepted = await accept_each(self._app, tx, [who] * len(outcomes), outcomes)
            done.extend(each for each in accepted if isinstance(each, Accepted))
            return pb.BatchRequestPredictionsResponse(items=[_item(each) for each in accepted])

        async with kept_inputs(self._app, [outcome for outcome in outcomes if isinstance(outcome, Prepared)], call) as queued:
            response = await once(self._app, call, request, pb.BatchRequestPredictionsResponse, act, partial(audit_replay, call))
            count(done)
            queued.update(item.accepted.job_id for item in response.items if not item.accepted.deduplicated)
        return response


def _ask(message: pb.PredictionInput, path: str, call: Call) -> Ask:
    return Ask(asked_for(message, path), origin(call), call.traceparent)


def _item(outcome: Accepted | AnalyticsError) -> pb.BatchRequestPredictionsItem:
    if isinstance(outcome, AnalyticsError):
        return pb.BatchRequestPredictionsItem(error=to_status_proto(outcome))
    return pb.BatchRequestPredictionsItem(accepted=accepted_message(outcome))
