"""FactService: load, count and erase facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from analytics.v1 import fact_service_pb2 as pb

from server.errors import Reason, invalid_argument
from server.facts import store
from server.facts.load import load_facts
from server.facts.model import FactSet
from server.insights.erase import erase
from server.rpc.fact_batches import BATCHES, checked
from server.rpc.once import once
from server.rpc.origins import origin
from server.wire.facts import erasure, fact_set, fact_set_value
from server.wire.times import timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.app import App
    from server.db import Tx
    from server.rpc.call import Call

MAX_ROWS = 5_000
MAX_ERRORS = 100


class FactRpcs:
    """The organization's facts."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def ingest_facts(self, requests: AsyncIterator[pb.IngestFactsRequest], call: Call) -> pb.IngestFactsResponse:
        """Load batches, each all or nothing."""
        response = pb.IngestFactsResponse()
        async for request in requests:
            response.batches.append(await self._load(len(response.batches), request, call))
        return response

    async def list_fact_sets(self, request: pb.ListFactSetsRequest, call: Call) -> pb.ListFactSetsResponse:
        """Count what is stored."""
        del request
        response = pb.ListFactSetsResponse()
        async with self._app.read(call.caller.org) as tx:
            for kind in FactSet:
                summary = await store.summarize(tx, call.caller.org, kind)
                response.fact_sets.add(
                    fact_set=fact_set_value(kind),
                    rows=summary.rows,
                    subjects=summary.subjects,
                    labelled_rows=summary.labelled_rows,
                    update_time=timestamp(summary.updated_at),
                )
        return response

    async def delete_facts(self, request: pb.DeleteFactsRequest, call: Call) -> pb.DeleteFactsResponse:
        """Erase a subject or everything, with what was made of it."""

        async def act(tx: Tx) -> pb.DeleteFactsResponse:
            deleted = await erase(tx, origin(call), fact_set(request.fact_set), erasure(request))
            return pb.DeleteFactsResponse(deleted=deleted)

        return await once(self._app, call, request, pb.DeleteFactsResponse, act)

    async def _load(self, index: int, request: pb.IngestFactsRequest, call: Call) -> pb.BatchResult:
        batch = BATCHES[request.WhichOneof("batch") or ""]
        messages = batch.rows(request)
        if not messages:
            raise invalid_argument(batch.path, f"batch {index} has no rows")
        if len(messages) > MAX_ROWS:
            raise invalid_argument(batch.path, f"batch {index} has more than {MAX_ROWS:,} rows; split it", Reason.BATCH_TOO_LARGE)
        rows, errors = await checked(batch, messages, datetime.now(UTC).date())
        if errors:
            bad = len({error.row for error in errors})
            return pb.BatchResult(batch=index, errors=errors[:MAX_ERRORS], bad_rows=bad)
        async with self._app.tx(call.caller.org) as tx:
            written = await load_facts(tx, origin(call), batch.fact_set, rows)
        return pb.BatchResult(batch=index, inserted=written.inserted, updated=written.updated, unchanged=written.unchanged)
