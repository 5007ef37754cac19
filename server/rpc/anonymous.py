"""Health and reflection, which are open to everybody: their endless streams have a budget of their own.

Without one, a thousand anonymous health watches would take the room of all tenants' calls.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha._async import ReflectionServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator

    from grpc_health.v1 import health_pb2
    from grpc_reflection.v1alpha import reflection_pb2

MAX_OPEN_STREAMS = 100


class _Budget:
    """Counts the open streams of one service."""

    def __init__(self) -> None:
        self._open = 0

    @contextmanager
    def stream(self) -> Iterator[bool]:
        """Count a stream in while the block runs; the value says whether it may stay."""
        self._open += 1
        try:
            yield self._open <= MAX_OPEN_STREAMS
        finally:
            self._open -= 1


class BoundedHealth(HealthServicer):
    """`grpc.health.v1.Health` with a bounded number of watches."""

    def __init__(self) -> None:
        """Start without services."""
        super().__init__()
        self._budget = _Budget()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[object, object]) -> None:  # noqa: N802 - gRPC's name
        """Stream the state of a service, or refuse."""
        with self._budget.stream() as room:
            if not room:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many health watches are open; use Check")
            await super().Watch(request, context)


class BoundedReflection(ReflectionServicer):
    """`grpc.reflection.v1alpha.ServerReflection` with a bounded number of open streams."""

    def __init__(self, services: list[str]) -> None:
        """Show these services."""
        super().__init__(services)  # type: ignore[no-untyped-call]  # the package has no types for its servicers
        self._budget = _Budget()

    async def ServerReflectionInfo(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterable[reflection_pb2.ServerReflectionRequest], context: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        """Answer questions about the contract, or refuse."""
        with self._budget.stream() as room:
            if not room:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many reflection streams are open; retry")
            async for answer in super().ServerReflectionInfo(request_iterator, context):
                yield answer
