"""EventService: what happened, to those who ask, and what others tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from analytics.events.v1 import event_service_pb2 as pb

from server.errors import AnalyticsError, Kind, Reason, invalid_argument
from server.events.tail import store
from server.events.tail.store import Purged, Wanted
from server.rpc import watches
from server.rpc.cursors import Cursors, cursor_invalid
from server.rpc.publishing import check_tenant, publish
from server.rpc.watches import draining_error, either
from server.wire.events import TYPES, envelope, types_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.app import App
    from server.db.watching import Watcher
    from server.events.tail.store import Kept, Page
    from server.identity import OrgId
    from server.rpc.call import Call

PAGE = 500
"""Most events that are read at once for a stream."""

_ALL_OF = ".*"


class EventRpcs:
    """The organization's events."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def publish_events(self, request: pb.PublishEventsRequest, call: Call) -> pb.PublishEventsResponse:
        """Take events, each by itself."""
        check_tenant(request.events, call.caller.org)
        return pb.PublishEventsResponse(items=await publish(self._app, call, request.events))

    async def stream_events(self, request: pb.StreamEventsRequest, call: Call) -> AsyncIterator[pb.StreamEventsResponse]:
        """Stream what comes after a cursor."""
        org, wanted = call.caller.org, _wanted(request)
        cursors = Cursors.of(self._app.settings, org)
        place = await self._begin(request, org, cursors)
        clock = asyncio.get_running_loop().time
        with self._app.tails.watching(org) as changed:
            yield pb.StreamEventsResponse(cursor=cursors.seal(place), heartbeat=True)
            last_sign = clock()
            while True:
                changed.clear()
                page = await self._page(org, place, wanted, cursors)
                for event in page.events:
                    yield pb.StreamEventsResponse(event=envelope(org, event), cursor=cursors.seal(event.sequence))
                    last_sign = clock()
                place = page.last
                if not page.full:
                    changed.saw(place)
                    await _wait(changed, call.draining, last_sign + watches.HEARTBEAT_SECONDS)
                if call.draining.is_set():
                    raise draining_error()
                if clock() - last_sign >= watches.HEARTBEAT_SECONDS:
                    yield pb.StreamEventsResponse(cursor=cursors.seal(place), heartbeat=True)
                    last_sign = clock()

    async def list_event_types(self, request: pb.ListEventTypesRequest, call: Call) -> pb.ListEventTypesResponse:
        """List the types."""
        del request, call
        return types_message()

    async def _begin(self, request: pb.StreamEventsRequest, org: OrgId, cursors: Cursors) -> int:
        """Return the place after which the stream begins."""
        kept = await self._kept(org)
        if not request.cursor:
            return kept.oldest - 1 if request.from_start else kept.newest
        place = cursors.open(request.cursor)
        if place > kept.newest:
            # Not one of this database's sequence: to wait for that event would be to say nothing of those up to it.
            text = "is ahead of the newest event; start again without one"
            raise cursor_invalid(text)
        if place < kept.oldest - 1:
            raise _expired(kept, cursors)
        return place

    async def _page(self, org: OrgId, place: int, wanted: Wanted, cursors: Cursors) -> Page:
        try:
            async with self._app.read(org) as tx:
                return await store.page(tx, org, place, wanted, PAGE)
        except Purged:
            # The reader was slower than events are kept.
            raise _expired(await self._kept(org), cursors) from None

    async def _kept(self, org: OrgId) -> Kept:
        async with self._app.read(org) as tx:
            return await store.kept(tx, org)


async def _wait(changed: Watcher, draining: asyncio.Event, until: float) -> None:
    """Wait for news, a shutdown or an instant of the loop's clock."""
    seconds = until - asyncio.get_running_loop().time()
    if seconds > 0 and not changed.is_set():
        await either(changed, draining, seconds)


def _wanted(request: pb.StreamEventsRequest) -> Wanted:
    exact: list[str] = []
    beginnings: list[str] = []
    for index, asked in enumerate(request.types):
        if not any(_fits(asked, known.name) for known in TYPES.values() if known.sent):
            field = f"types[{index}]"
            raise invalid_argument(field, "fits no type of events that are sent; ListEventTypes has them all")
        if asked.endswith(_ALL_OF):
            beginnings.append(asked.removesuffix("*"))
        else:
            exact.append(asked)
    return Wanted(tuple(exact), tuple(beginnings), tuple(request.metric_keys))


def _fits(asked: str, name: str) -> bool:
    return name.startswith(asked.removesuffix("*")) if asked.endswith(_ALL_OF) else name == asked


def _expired(kept: Kept, cursors: Cursors) -> AnalyticsError:
    return AnalyticsError(
        Kind.OUT_OF_RANGE,
        Reason.CURSOR_EXPIRED,
        f"events after the cursor are no longer kept; the oldest that may come next has sequence {kept.oldest}: go on with the cursor "
        "in metadata oldest_cursor, or set from_start",
        metadata={"oldest_cursor": cursors.seal(kept.oldest - 1), "oldest_sequence": str(kept.oldest)},
    )
