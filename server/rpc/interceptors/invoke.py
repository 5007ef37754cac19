"""The innermost stage: calls the handler and writes what it answers."""

from __future__ import annotations

import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from server.rpc.call import Call
from server.rpc.ready import Ready

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from google.protobuf.message import Message

    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method


class HandlerMismatch(TypeError):
    """A handler is not of the kind its RPC needs."""


def invoke(method: Method, rails: Rails, handler: object) -> Stage:
    """Make the stage that calls `handler`.

    Raises:
        HandlerMismatch: `async def` is needed for a single answer, an async generator for a stream.

    """
    if method.gives_stream:
        if not inspect.isasyncgenfunction(handler):
            msg = f"{method.path} answers with a stream: {method.handler} must be an async generator"
            raise HandlerMismatch(msg)
        return _streaming(method, rails, handler)
    if not inspect.iscoroutinefunction(handler):
        msg = f"{method.path} has one answer: {method.handler} must be `async def` and not yield"
        raise HandlerMismatch(msg)
    return _single(method, rails, handler)


# The types of request and response differ per RPC and are known to the contract only, hence Any.
def _single(method: Method, rails: Rails, handler: Callable[[Any, Call], Awaitable[Message | Ready[Any]]]) -> Stage:
    async def invoked(exchange: Exchange) -> None:
        response = await handler(exchange.request, _call(method, rails, exchange))
        exchange.response = response.content if isinstance(response, Ready) else response.SerializeToString()

    return invoked


def _streaming(method: Method, rails: Rails, handler: Callable[[Any, Call], AsyncGenerator[Message, None]]) -> Stage:
    async def invoked(exchange: Exchange) -> None:
        write = exchange.context.write
        # Closed here and now, so that what the handler holds is released before the call is over.
        async with aclosing(handler(exchange.request, _call(method, rails, exchange))) as responses:
            async for response in responses:
                await write(response.SerializeToString())

    return invoked


def _call(method: Method, rails: Rails, exchange: Exchange) -> Call:
    caller = exchange.caller
    if caller is None:
        msg = "a call reached its handler without a verified caller"
        raise RuntimeError(msg)
    return Call(method.path, caller, exchange.request_id, exchange.deadline, exchange.traceparent, rails.draining)
