"""A real server with the contract's services on a free port, and handlers that do what a test tells them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
from analytics.admin.v1 import operations_service_pb2_grpc
from analytics.v1 import analytics_service_pb2_grpc, fact_service_pb2_grpc, predictions_pb2, tenant_service_pb2_grpc
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from server.rpc.methods import services
from server.rpc.server import serve
from server.settings import Settings
from tests.support import credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from server.rpc.auth import TokenVerifier
    from server.rpc.call import Call
    from server.rpc.methods import Method
    from server.rpc.server import RunningServer

Detail = TypeVar("Detail", bound="Message")
Behaviour = Any  # an async function or an async generator function of (request, call), whichever the RPC needs
Metadata = tuple[tuple[str, str | bytes], ...]
JOB = "2c1f0f8e-7c3c-4a53-9a35-0c7f4a0d7a10"
GET = predictions_pb2.GetPredictionJobRequest(job_id=JOB)
WATCH = predictions_pb2.WatchPredictionJobRequest(job_id=JOB)


async def watched(
    request: predictions_pb2.WatchPredictionJobRequest, call: Call
) -> AsyncIterator[predictions_pb2.WatchPredictionJobResponse]:
    """Tell of two revisions of the job."""
    for revision in (1, 2):
        yield predictions_pb2.WatchPredictionJobResponse(job=predictions_pb2.PredictionJob(id=request.job_id, revision=revision))


@dataclass
class Handlers:
    """Answers every RPC: as told in `behaviours`, else with an empty message. `reached` lists the calls that came through."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    reached: list[Call] = field(default_factory=list)

    def by_service(self) -> Mapping[str, Sequence[object]]:
        return {service: [self._owner(methods)] for service, methods in services().items()}

    def _owner(self, methods: Sequence[Method]) -> object:
        functions = {
            method.handler: staticmethod(self._stream(method) if method.gives_stream else self._single(method)) for method in methods
        }
        return type("Rpcs", (), functions)()

    def _single(self, method: Method) -> Callable[..., object]:
        answer = response_class(method)

        async def single(request: object, call: Call) -> Message:
            self.reached.append(call)
            behaviour = self.behaviours.get(method.name)
            made: Message = answer() if behaviour is None else await behaviour(request, call)
            return made

        return single

    def _stream(self, method: Method) -> Callable[..., object]:
        async def stream(request: object, call: Call) -> AsyncIterator[Message]:
            self.reached.append(call)
            behaviour = self.behaviours.get(method.name)
            if behaviour is not None:
                async for message in behaviour(request, call):
                    yield message

        return stream


def response_class(method: Method) -> type[Message]:
    described = method.request.DESCRIPTOR.file.pool.FindServiceByName(method.service)
    return GetMessageClass(cast("Descriptor", described.methods_by_name[method.name].output_type))


@dataclass(frozen=True)
class Served:
    server: RunningServer
    handlers: Handlers
    channel: grpc.aio.Channel

    @property
    def analytics(self) -> analytics_service_pb2_grpc.AnalyticsServiceAsyncStub:
        return analytics_service_pb2_grpc.AnalyticsServiceStub(self.channel)

    @property
    def facts(self) -> fact_service_pb2_grpc.FactServiceAsyncStub:
        return fact_service_pb2_grpc.FactServiceStub(self.channel)

    @property
    def tenants(self) -> tenant_service_pb2_grpc.TenantServiceAsyncStub:
        return tenant_service_pb2_grpc.TenantServiceStub(self.channel)

    @property
    def operations(self) -> operations_service_pb2_grpc.OperationsServiceAsyncStub:
        return operations_service_pb2_grpc.OperationsServiceStub(self.channel)


def settings_for(folder: Path, **changes: object) -> Settings:
    base = {"grpc_port": 0, "jwt_keys": str(credentials.write_jwks(folder))}
    return Settings.model_validate(base | changes)


@asynccontextmanager
async def serving(
    folder: Path,
    behaviours: dict[str, Behaviour] | None = None,
    *,
    verifier: TokenVerifier | None = None,
    **changes: Any,  # noqa: ANN401 - settings of any type
) -> AsyncIterator[Served]:
    handlers = Handlers(behaviours or {})
    server = await serve(settings_for(folder, **changes), handlers.by_service(), verifier=verifier)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Served(server, handlers, channel)
    finally:
        await server.drain(0)


async def raw_call(channel: grpc.aio.Channel, path: str, message: bytes, metadata: Metadata) -> bytes:
    """Call any RPC with one message of any bytes and return the answer's bytes."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path, bytes, bytes)
    return await call(message, metadata=metadata)


def bearer(*roles: str, org: str | None = "acme", user: str = "user-1") -> Metadata:
    return (("authorization", f"Bearer {credentials.token(org, *roles, user=user)}"),)


def operator() -> Metadata:
    return (("authorization", f"Bearer {credentials.operator_token()}"),)


@dataclass(frozen=True)
class Failure:
    """A failed call as a client reads it out of the trailers."""

    code: grpc.StatusCode
    status: status_pb2.Status
    metadata: Mapping[str, str | bytes]

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        return self.detail(error_details_pb2.ErrorInfo)

    def detail(self, kind: type[Detail]) -> Detail:
        found = kind()
        packed = next(detail for detail in self.status.details if detail.Is(cast("Descriptor", kind.DESCRIPTOR)))
        assert packed.Unpack(found)
        return found


def failure(error: grpc.RpcError) -> Failure:
    assert isinstance(error, grpc.aio.AioRpcError)
    trailing = dict(error.trailing_metadata())
    packed = trailing.get("grpc-status-details-bin")
    assert isinstance(packed, bytes), f"no details: {error!r}"
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return Failure(error.code(), status, trailing)
