"""What the bare handlers share: one method on a plain grpc.aio server and a pool, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import asyncpg
import grpc
import grpc.aio
import uvloop

from server.lifecycle import announce_ready, termination

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

SERVICE = "analytics.v1.AnalyticsService"
CONNECTIONS = 8
ORG, URL = "BENCH_ORG", "BENCH_DATABASE_URL"

Asked = TypeVar("Asked", bound="Message")
Answered = TypeVar("Answered", bound="Message")


async def _keep(_: asyncpg.Connection) -> None:
    """A single SELECT leaves nothing behind that the pool would have to reset."""


def run(
    method: str, asked: type[Asked], answered: type[Answered], answer: Callable[[asyncpg.Pool, str, Asked], Awaitable[Answered]]
) -> None:
    """Serve a method of the organization that the environment names, until asked to stop."""
    uvloop.run(_serve(method, asked, answered, answer))


async def _serve(
    method: str, asked: type[Asked], answered: type[Answered], answer: Callable[[asyncpg.Pool, str, Asked], Awaitable[Answered]]
) -> None:
    stop = termination()
    org = os.environ[ORG]
    pool = await asyncpg.create_pool(os.environ[URL], min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_keep)

    async def behave(request: Asked, _: object) -> Answered:
        return await answer(pool, org, request)

    handler = grpc.unary_unary_rpc_method_handler(
        behave, request_deserializer=asked.FromString, response_serializer=answered.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    announce_ready(port)
    await stop.wait()
    await server.stop(0)
    await pool.close()
