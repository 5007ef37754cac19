"""Answers RPCs that do not exist: UNIMPLEMENTED with the same kind of details as every other failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf.empty_pb2 import Empty

from server.errors import AnalyticsError, Kind, Reason
from server.rpc.interceptors import surround
from server.rpc.interceptors.errors import errors
from server.rpc.interceptors.exchange import Exchange
from server.rpc.interceptors.log import log
from server.rpc.interceptors.trace import trace
from server.rpc.methods import Method

if TYPE_CHECKING:
    from server.rpc.interceptors.exchange import Context
    from server.rpc.interceptors.rails import Rails

# One name for all of them: a caller must not be able to make up labels of metrics.
_UNKNOWN = Method(
    path="/unknown",
    service="unknown",
    name="unknown",
    handler="",
    request=Empty,
    takes_stream=True,
    gives_stream=True,
    max_bytes=0,
    max_parts=0,
    roles=frozenset(),
)


class UnknownMethods(grpc.GenericRpcHandler):
    """Takes whatever the handlers before it did not know; to be added last."""

    def __init__(self, rails: Rails) -> None:
        """Build the short pipeline: such a call has no caller, no deadline and no message."""
        stage = surround((trace, errors, log), _UNKNOWN, rails, _refuse)

        async def behaviour(_requests: object, context: Context) -> None:
            await stage(Exchange(context))

        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(behaviour)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return the same refusal for every method."""
        del handler_call_details
        return self._handler


async def _refuse(exchange: Exchange) -> None:
    del exchange
    raise AnalyticsError(Kind.NOT_FOUND, Reason.METHOD_NOT_FOUND, "this server has no such RPC")
