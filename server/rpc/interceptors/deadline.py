"""How long a call may last: the caller's deadline, a default where there is none, a cap for all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn, cast

from server.errors import AnalyticsError, Kind, Reason
from server.rpc.watches import draining_error

if TYPE_CHECKING:
    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method

SHORTEST_SECONDS = 0.001


def deadline(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    streams = method.takes_stream or method.gives_stream
    cap = rails.max_stream if streams else rails.max_deadline
    default = cap if streams else min(rails.default_deadline, cap)
    draining = rails.draining

    async def bounded(exchange: Exchange) -> None:
        if draining.is_set():
            # It came over a connection that has not heard yet that this server is going away.
            raise draining_error()
        # The stubs leave out that a call may have no deadline.
        asked = cast("float | None", exchange.context.time_remaining())
        seconds = default if asked is None else min(asked, cap)
        if seconds < SHORTEST_SECONDS:
            _too_short("the deadline leaves less than a millisecond; allow more")
        exchange.deadline = time.monotonic() + seconds
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                await following(exchange)
        except TimeoutError:
            # A TimeoutError of something inside is not ours.
            if scope.expired():
                _too_short(f"the call did not end within its {seconds:.3g} s")
            raise

    return bounded


def _too_short(message: str) -> NoReturn:
    raise AnalyticsError(Kind.DEADLINE_EXCEEDED, Reason.DEADLINE_TOO_SHORT, message) from None
