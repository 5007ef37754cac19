"""AnalyticsService: many predictions in one call."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from analytics.v1 import predictions_pb2 as pb

from server.errors import AnalyticsError
from server.predictions.backlog.room import Room, caps
from server.predictions.request import Accepted, Basis, Checked, Prepared, accept, check, count, find_twin, read_basis
from server.rpc.accepting import accepted_message, asked_for, audit_replay, kept_inputs
from server.rpc.once import earlier_answer, once
from server.rpc.origins import origin
from server.rpc.status import to_status_proto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.app import App
    from server.db import ReadTx, Tx
    from server.predictions.request import Wanted
    from server.registry.model import ModelType
    from server.rpc.call import Call

Result = TypeVar("Result")


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
        outcomes = await self._prepare_each(request.predictions, call)
        done: list[Accepted] = []

        async def act(tx: Tx) -> pb.BatchRequestPredictionsResponse:
            items = await self._accept_each(tx, outcomes, call, done)
            return pb.BatchRequestPredictionsResponse(items=items)

        async with kept_inputs(self._app, [outcome for outcome in outcomes if isinstance(outcome, Prepared)], call) as queued:
            response = await once(self._app, call, request, pb.BatchRequestPredictionsResponse, act, partial(audit_replay, call))
            count(done)
            queued.update(item.accepted.job_id for item in response.items if not item.accepted.deduplicated)
        return response

    async def _prepare_each(self, inputs: Sequence[pb.PredictionInput], call: Call) -> list[Prepared | AnalyticsError]:
        """Read, check and read again, so that no transaction is open while 500 inputs are checked."""
        asked = [_caught(partial(asked_for, item, f"predictions[{index}].")) for index, item in enumerate(inputs)]
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
                items[index].accepted.CopyFrom(accepted_message(accepted))
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, AnalyticsError):
                item.error.CopyFrom(to_status_proto(outcome))
        return items


def _caught(act: Callable[[], Result]) -> Result | AnalyticsError:
    """Return what `act` returns, or the error that refuses this one item."""
    try:
        return act()
    except AnalyticsError as error:
        return error
