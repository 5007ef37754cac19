"""Opens the span of a call, under the caller's `traceparent` when there is one, and names the request for all log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind
from structlog.contextvars import bind_contextvars

from server.telemetry import names, tracing

if TYPE_CHECKING:
    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method


def trace(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    del rails
    name = method.path.removeprefix("/")
    attributes = {
        names.ATTRIBUTE_RPC_SYSTEM: "grpc",
        names.ATTRIBUTE_RPC_SERVICE: method.service,
        names.ATTRIBUTE_RPC_METHOD: method.name,
    }
    early_headers = method.gives_stream

    async def traced(exchange: Exchange) -> None:
        request_id = exchange.request_id
        with tracing.span(name, parent=exchange.traceparent, kind=SpanKind.SERVER, attributes=attributes) as span:
            exchange.span = span
            exchange.traceparent = tracing.inject(span)
            # The call has a task of its own, so what is bound here ends with it.
            bind_contextvars(request_id=request_id, trace_id=exchange.traceparent[3:35])
            if early_headers:
                await exchange.context.send_initial_metadata((("x-request-id", request_id),))
            else:
                # Headers sent apart from the answer cost a sixth of a unary call; trailers ride along.
                exchange.context.set_trailing_metadata((("x-request-id", request_id),))
            await following(exchange)

    return traced
