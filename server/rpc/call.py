"""What a handler is told about the call beside the request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from server.identity import Caller, RequestId


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one RPC, after its credential was verified.

    `method` is `/package.Service/Method`; `deadline` is in seconds of `time.monotonic`; `traceparent` names the span of
    the call, for jobs that go on with its trace. `draining` is set when the server shuts down: streams then end with
    SERVER_DRAINING and waits end early.
    """

    method: str
    caller: Caller
    request_id: RequestId
    deadline: float
    traceparent: str
    draining: asyncio.Event

    def remaining(self) -> float:
        """Seconds until the deadline, not below 0."""
        return max(self.deadline - time.monotonic(), 0.0)
