"""Streams that follow a resource: first as it stands, then once per revision, a heartbeat when nothing happens."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol, TypeVar

from server.db.watching import Watcher
from server.errors import AnalyticsError, Kind, Reason, invalid_argument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HEARTBEAT_SECONDS = 20.0
_RETRY_SECONDS = 1.0


class Revised(Protocol):
    """Something with a revision that grows with every change."""

    @property
    def revision(self) -> int:
        """The number of its last change."""


Item = TypeVar("Item", bound=Revised)


async def follow(  # noqa: PLR0913 - what to follow, and when to look
    load: Callable[[], Awaitable[Item]],
    ended: Callable[[Item], bool],
    changed: asyncio.Event | Watcher,
    draining: asyncio.Event,
    *,
    after_revision: int,
    look_every: float | None = None,
) -> AsyncIterator[Item | None]:
    """Yield each newer revision of what `load` returns, None as a heartbeat, and stop once `ended`.

    Looks at once, when `changed` is set, and at least every `look_every` seconds. Where `changed` is a watcher that misses
    nothing that is infinity by default, so that a heartbeat costs no query; elsewhere it is `HEARTBEAT_SECONDS`. An item that
    ended is yielded even when `after_revision` has seen it, so that a resumed watch learns of the end.

    Raises:
        AnalyticsError: VALIDATION_FAILED, the item has not reached `after_revision`; SERVER_DRAINING when the server shuts
            down, the client resumes elsewhere.

    """
    clock = asyncio.get_running_loop().time
    pause = look_every if look_every is not None else math.inf if isinstance(changed, Watcher) else HEARTBEAT_SECONDS
    seen, last_sign, last_look = after_revision, clock(), -math.inf
    while True:
        if changed.is_set() or clock() - last_look >= pause:
            changed.clear()
            last_look = clock()
            item = await load()
            if isinstance(changed, Watcher):
                changed.saw(item.revision)
            if item.revision < after_revision:
                raise _ahead(item.revision)
            if item.revision > seen or ended(item):
                seen, last_sign = item.revision, clock()
                yield item
                if ended(item):
                    return
        if clock() - last_sign >= HEARTBEAT_SECONDS:
            last_sign = clock()
            yield None
        await either(changed, draining, max(min(last_look + pause, last_sign + HEARTBEAT_SECONDS) - clock(), 0.0))
        if draining.is_set():
            raise draining_error()


async def either(changed: asyncio.Event | Watcher, draining: asyncio.Event, seconds: float) -> None:
    """Wait until one of the events is set, at most `seconds`."""
    waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(draining.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            # Not awaited: a cancellation of the caller that came meanwhile would be taken for theirs.
            task.cancel()


def _ahead(newest: int) -> AnalyticsError:
    """Return the answer to a watch from the future.

    To wait for that revision would be to say nothing of the changes up to it. No watch has ever told it: revisions do not
    go back.
    """
    return invalid_argument("after_revision", f"is ahead of the newest revision, {newest}; 0 starts with the current state")


def draining_error() -> AnalyticsError:
    """Return the answer of a server that shuts down."""
    return AnalyticsError(
        Kind.UNAVAILABLE, Reason.SERVER_DRAINING, "this server shuts down; call again, another one answers", retry_after=_RETRY_SECONDS
    )
