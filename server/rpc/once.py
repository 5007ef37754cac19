"""Idempotency of mutating RPCs: the same `request_id` and request get the first answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from google.protobuf.message import Message

from server.idempotency import store
from server.rpc.request_hash import request_hash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.app import App
    from server.db import Tx
    from server.rpc.call import Call

Response = TypeVar("Response", bound=Message)


class Repeatable(Protocol):
    """A request that may carry an id."""

    request_id: str


async def once(  # noqa: PLR0913 - the call, what it does, and what a repetition does
    app: App,
    call: Call,
    request: Repeatable,
    answer: type[Response],
    act: Callable[[Tx], Awaitable[Response]],
    replayed: Callable[[Tx, Response], Awaitable[None]] | None = None,
    *,
    keep: bool = True,
) -> Response:
    """Do `act` in a transaction, or return what it answered the first time, after `replayed` has taken note of that.

    An answer that holds what can be erased is not kept: then only that there was one is remembered, and `replayed` fills an empty
    answer anew.

    Raises:
        AnalyticsError: IDEMPOTENCY_KEY_REUSED, and whatever `act` raises.

    """
    org, key = call.caller.org, request.request_id.lower()
    async with app.tx(org) as tx:
        if not key:
            return await act(tx)
        earlier = await store.claim(tx, org, call.method, key, _hash(request))
        if earlier is not None:
            first = answer.FromString(earlier)
            if replayed is not None:
                await replayed(tx, first)
            return first
        response = await act(tx)
        if keep:
            await store.remember(tx, org, call.method, key, response.SerializeToString())
    return response


async def earlier_answer(app: App, call: Call, request: Repeatable, answer: type[Response]) -> Response | None:
    """Return the first answer to a request that was answered before; for RPCs that work before their transaction."""
    if not request.request_id:
        return None
    async with app.read(call.caller.org) as tx:
        stored = await store.recall(tx, call.caller.org, call.method, request.request_id.lower(), _hash(request))
    return None if stored is None else answer.FromString(stored)


def _hash(request: Repeatable) -> bytes:
    if not isinstance(request, Message):
        msg = "a request is a protobuf message"
        raise TypeError(msg)
    return request_hash(request)
