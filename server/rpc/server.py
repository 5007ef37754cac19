"""The gRPC server: registration of handlers, limits of the transport, TLS, health, reflection, draining.

What always holds here: every RPC of the contract has exactly one handler, or the server does not start. Handlers are
registered generically: registered one by one, every call would wait on one future per method.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from server.rpc.anonymous import BoundedHealth, BoundedReflection
from server.rpc.auth import TokenVerifier
from server.rpc.interceptors import compose
from server.rpc.interceptors.exchange import Exchange
from server.rpc.interceptors.limits import TenantCalls, TenantRates
from server.rpc.interceptors.rails import Rails
from server.rpc.keys import KeysUnreadable, UrlKeys, source
from server.rpc.methods import MAX_BULK_REQUEST_BYTES, services
from server.rpc.unknown import UnknownMethods

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from server.rpc.interceptors.exchange import Context, Stage
    from server.rpc.methods import Method
    from server.settings import Settings

_MAX_PENDING = 10_000
_MAX_HEADERS = 24 << 10
_LAST_ANSWERS_SECONDS = 0.5
_STANDARD = ((health_pb2, "Health"), (reflection_pb2, "ServerReflection"))


class HandlersIncomplete(Exception):
    """The contract and the handlers do not match; one line per RPC."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts calls on `port`."""

    port: int
    draining: asyncio.Event
    _server: grpc.aio.Server
    _health: BoundedHealth
    _calls: RunningCalls
    _stop: asyncio.Lock

    async def drain(self, seconds: float) -> None:
        """Stop: say NOT_SERVING, end streams, refuse new calls (SERVER_DRAINING), and give running ones `seconds` to finish."""
        await self._health.enter_graceful_shutdown()
        self.draining.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calls.none.wait(), seconds)
        # One after the other: two stops at the same time crash grpc.
        async with self._stop:
            # What is left are watchers of the health, which never end by themselves, and answers on their way out.
            await self._server.stop(min(seconds, _LAST_ANSWERS_SECONDS))


class RunningCalls:
    """Counts the calls of our services."""

    def __init__(self) -> None:
        """Start with none."""
        self._number = 0
        self.none = asyncio.Event()
        self.none.set()

    def __enter__(self) -> None:
        self._number += 1
        self.none.clear()

    def __exit__(self, *_exception: object) -> None:
        self._number -= 1
        if self._number == 0:
            self.none.set()


async def verifier_of(settings: Settings) -> TokenVerifier:
    """Make the verifier that the settings describe.

    Raises:
        KeysUnreadable: there are no usable keys where `jwt_keys` points.

    """
    try:
        keys = source(settings.jwt_keys)
        if isinstance(keys, UrlKeys):
            await keys.look_again()
    except KeysUnreadable as error:
        message = f"ANALYTICS_JWT_KEYS: {error}"
        raise KeysUnreadable(message) from error
    return TokenVerifier(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience, leeway_seconds=settings.jwt_leeway_seconds)


async def serve(
    settings: Settings, handlers: Mapping[str, Sequence[object]], *, verifier: TokenVerifier | None = None, reuse_port: bool = False
) -> RunningServer:
    """Start a server.

    Args:
        settings: address, limits, TLS.
        handlers: per full service name the objects that answer its RPCs, by methods named like the RPC in snake_case.
        verifier: checks credentials; by default the one that the settings describe.
        reuse_port: let several processes share the port (SO_REUSEPORT); otherwise a taken port is an error.

    Raises:
        HandlersIncomplete: an RPC without a handler, with two, or with one of the wrong kind.
        KeysUnreadable: there are no usable keys for credentials.
        OSError: the address is taken, or a TLS file cannot be read; the text says which.

    """
    rails = Rails(
        verifier=verifier or await verifier_of(settings),
        tenant_calls=TenantCalls(settings.tenant_concurrent_calls, settings.max_concurrent_calls),
        rates=TenantRates(settings.tenant_requests_per_second, settings.tenant_request_burst),
        draining=asyncio.Event(),
        default_deadline=settings.default_deadline_seconds,
        max_deadline=settings.max_deadline_seconds,
        max_stream=settings.max_stream_seconds,
    )
    pipelines = bind(rails, handlers)
    server = grpc.aio.server(options=_options(settings, reuse_port=reuse_port))
    calls = RunningCalls()
    for service, stages in pipelines.items():
        methods = {method.name: _rpc(method, stage, calls) for method, stage in stages}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    # Neither package has types for its servicers.
    checks = BoundedHealth()
    only_generic = _OnlyGeneric(server)
    health_pb2_grpc.add_HealthServicer_to_server(checks, only_generic)  # type: ignore[no-untyped-call]
    if settings.reflection:
        shown = [*pipelines, *(file.DESCRIPTOR.services_by_name[name].full_name for file, name in _STANDARD)]
        schema = BoundedReflection(shown)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(schema, only_generic)  # type: ignore[no-untyped-call]
    server.add_generic_rpc_handlers((UnknownMethods(rails),))
    port = _listen(server, settings)
    await server.start()
    for service in pipelines:
        await checks.set(service, health_pb2.HealthCheckResponse.SERVING)
    return RunningServer(port, rails.draining, server, checks, calls, asyncio.Lock())


def bind(rails: Rails, handlers: Mapping[str, Sequence[object]]) -> Mapping[str, list[tuple[Method, Stage]]]:
    """Find the one handler of every RPC and build its pipeline.

    Raises:
        HandlersIncomplete: see `serve`.

    """
    contract = services()
    wrong = [f"{service} is not in the contract" for service in handlers.keys() - contract.keys()]
    bound: dict[str, list[tuple[Method, Stage]]] = {service: [] for service in contract}
    for service, methods in contract.items():
        for method in methods:
            found = [getattr(owner, method.handler) for owner in handlers.get(service, ()) if hasattr(owner, method.handler)]
            if len(found) != 1:
                wrong.append(f"{method.path} has {len(found)} handlers named {method.handler}, needs one")
                continue
            try:
                bound[service].append((method, compose(method, rails, found[0])))
            except TypeError as error:
                wrong.append(str(error))
    if wrong:
        raise HandlersIncomplete("\n".join(sorted(wrong)))
    return bound


def _rpc(method: Method, stage: Stage, calls: RunningCalls) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Register as an RPC that takes a stream whatever it takes: only then may the pipeline read the message when it wants.

    On the wire there is no difference. Without (de)serializers grpc hands over bytes.
    """

    async def single(_requests: object, context: Context) -> bytes:
        exchange = Exchange(context)
        with calls:
            await stage(exchange)
        return exchange.response

    async def streaming(_requests: object, context: Context) -> None:
        with calls:
            await stage(Exchange(context))

    if method.gives_stream:
        return grpc.stream_stream_rpc_method_handler(streaming)
    return grpc.stream_unary_rpc_method_handler(single)


class _OnlyGeneric:
    """Takes the registrations of a generated `add_..._to_server` and keeps the generic one."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers(tuple(handlers))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[object, object]]) -> None:
        """See the module's docstring."""


def _listen(server: grpc.aio.Server, settings: Settings) -> int:
    host = f"[{settings.grpc_host}]" if ":" in settings.grpc_host else settings.grpc_host
    address = f"{host}:{settings.grpc_port}"
    try:
        if settings.tls_certificate:
            return server.add_secure_port(address, _tls(settings))
        return server.add_insecure_port(address)
    except RuntimeError:
        message = f"cannot listen on {address}: the port is taken or the address is not ours; set ANALYTICS_GRPC_PORT"
        raise OSError(message) from None


def _tls(settings: Settings) -> grpc.ServerCredentials:
    pair = (Path(settings.tls_private_key).read_bytes(), Path(settings.tls_certificate).read_bytes())
    authority = Path(settings.tls_client_ca).read_bytes() if settings.tls_client_ca else None
    return grpc.ssl_server_credentials([pair], root_certificates=authority, require_client_auth=authority is not None)


def _options(settings: Settings, *, reuse_port: bool) -> list[tuple[str, int]]:
    return [
        # Without it two servers bind one port silently.
        ("grpc.so_reuseport", int(reuse_port)),
        # The most that any RPC takes, after decompression; `validate` enforces the smaller limit of the others.
        ("grpc.max_receive_message_length", MAX_BULK_REQUEST_BYTES),
        # A token of 8 KiB has to fit, and one that is somewhat larger still gets a proper answer.
        ("grpc.max_metadata_size", _MAX_HEADERS),
        ("grpc.absolute_max_metadata_size", 2 * _MAX_HEADERS),
        ("grpc.max_concurrent_streams", settings.max_concurrent_calls),
        # It refuses streams of a burst before we see them, without a word of why. The bounds that stay: streams of a connection
        # (above), calls that wait to be accepted (below; grpc cancels more), and ours per tenant and in all, which say what to do.
        ("grpc.http.overload_protection", 0),
        ("grpc.server.max_pending_requests", _MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING),
        # Finds dead peers; a client that pings more often than every 10 s is cut off.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 3),
    ]
