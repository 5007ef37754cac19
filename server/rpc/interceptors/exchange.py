"""A call on its way through the pipeline: what each interceptor found out for the ones after it."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from server.identity import RequestId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio
    from google.protobuf.message import Message
    from opentelemetry.trace import Span

    from server.errors import AnalyticsError
    from server.identity import Caller

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Exchange:
    """One call. `request` is a message, or an iterator of messages for RPCs that take a stream."""

    __slots__ = ("authorization", "caller", "context", "deadline", "failure", "request", "request_id", "response", "span", "traceparent")

    span: Span

    def __init__(self, context: Context) -> None:
        """Read the headers in one pass."""
        self.context = context
        self.authorization: list[str | bytes] = []
        self.traceparent = ""
        self.caller: Caller | None = None
        self.deadline = 0.0
        self.request: Message | AsyncIterator[Message] | None = None
        self.response = b""
        self.failure: AnalyticsError | None = None
        given = ""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                self.authorization.append(value)
            elif key == "x-request-id" and isinstance(value, str):
                given = value
            elif key == "traceparent" and isinstance(value, str):
                self.traceparent = value
        # Different is enough, it need not be secret; a UUID of the system's randomness costs ten times as much.
        self.request_id = RequestId(given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}")


# Messages pass grpc as bytes, or as its mark of the end: the pipeline reads them only once the caller is known.
Context: TypeAlias = "grpc.aio.ServicerContext[object, bytes]"
Stage: TypeAlias = Callable[[Exchange], Awaitable[None]]
