"""Deadlines of calls and caps of streams, over a real connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import predictions_pb2
from google.rpc import error_details_pb2

from tests.rpc.serving import GET, WATCH, bearer, failure, serving, watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.rpc.call import Call


async def test_a_call_that_outlasts_the_default_deadline_ends_with_deadline_exceeded(tmp_path: Path) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def forever(request: object, call: Call) -> predictions_pb2.GetPredictionJobResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return predictions_pb2.GetPredictionJobResponse()

    async with serving(tmp_path, {"GetPredictionJob": forever}, default_deadline_seconds=0.05) as served:
        # A machine that stands still for so short a time ends a call before it reaches its handler.
        while not begun.is_set():
            with pytest.raises(grpc.RpcError) as caught:
                await served.analytics.GetPredictionJob(GET, metadata=bearer())
            refused = failure(caught.value)
            assert (refused.code, refused.info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")
        assert gone.is_set()


async def test_no_deadline_is_longer_than_the_cap(tmp_path: Path) -> None:
    async with serving(tmp_path, {"WatchPredictionJob": watched}, max_deadline_seconds=20, max_stream_seconds=40) as served:
        await served.analytics.GetPredictionJob(GET, metadata=bearer(), timeout=3000)
        async for _ in served.analytics.WatchPredictionJob(WATCH, metadata=bearer(), timeout=3000):
            pass
        unary, stream = served.handlers.reached
        assert 15 < unary.remaining() <= 20
        assert 35 < stream.remaining() <= 40


async def test_a_stream_ends_at_its_cap(tmp_path: Path) -> None:
    async def endless(request: object, call: Call) -> AsyncIterator[predictions_pb2.WatchPredictionJobResponse]:
        yield predictions_pb2.WatchPredictionJobResponse(heartbeat=True)
        await asyncio.Event().wait()

    async with serving(tmp_path, {"WatchPredictionJob": endless}, max_stream_seconds=0.05) as served:
        heard: list[predictions_pb2.WatchPredictionJobResponse] = []

        async def listen() -> None:
            async for message in served.analytics.WatchPredictionJob(WATCH, metadata=bearer()):
                heard.append(message)  # noqa: PERF401 - what was heard before the end counts

        # A machine that stands still for so short a time ends a stream before its first message.
        while not heard:
            with pytest.raises(grpc.RpcError) as caught:
                await listen()
            assert failure(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert heard == [predictions_pb2.WatchPredictionJobResponse(heartbeat=True)]


async def test_a_timeout_inside_a_handler_is_not_the_deadline(tmp_path: Path) -> None:
    async def unreachable(request: object, call: Call) -> predictions_pb2.GetPredictionJobResponse:
        raise TimeoutError

    async with serving(tmp_path, {"GetPredictionJob": unreachable}) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=bearer())
        refused = failure(caught.value)
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        assert refused.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1
