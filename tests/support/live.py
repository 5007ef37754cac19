"""A whole service for tests: server and worker in this process, real databases below, a real port above."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from analytics.admin.v1 import operations_service_pb2_grpc
from analytics.events.v1 import event_service_pb2_grpc
from analytics.v1 import analytics_service_pb2_grpc, fact_service_pb2_grpc, tenant_service_pb2_grpc

from server import app as composition
from server.lifecycle import end
from server.rpc.server import serve, verifier_of
from server.rpc.services import services
from tests.support import credentials
from workers.predictions import PredictionWorker
from workers.runs import RunWorker
from workers.runtime import PredictionRuntime
from workers.scorers import Scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.app import App
    from server.rpc.server import RunningServer
    from server.settings import Settings

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Service:
    """The running service and stubs for it."""

    app: App
    server: RunningServer
    channel: grpc.aio.Channel

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server.port}"

    @property
    def analytics(self) -> analytics_service_pb2_grpc.AnalyticsServiceAsyncStub:
        """Stub of AnalyticsService."""
        return analytics_service_pb2_grpc.AnalyticsServiceStub(self.channel)

    @property
    def facts(self) -> fact_service_pb2_grpc.FactServiceAsyncStub:
        """Stub of FactService."""
        return fact_service_pb2_grpc.FactServiceStub(self.channel)

    @property
    def tenants(self) -> tenant_service_pb2_grpc.TenantServiceAsyncStub:
        """Stub of TenantService."""
        return tenant_service_pb2_grpc.TenantServiceStub(self.channel)

    @property
    def events(self) -> event_service_pb2_grpc.EventServiceAsyncStub:
        """Stub of EventService."""
        return event_service_pb2_grpc.EventServiceStub(self.channel)

    @property
    def operations(self) -> operations_service_pb2_grpc.OperationsServiceAsyncStub:
        """Stub of OperationsService."""
        return operations_service_pb2_grpc.OperationsServiceStub(self.channel)


def bearer(org: str, *roles: str, user: str = "user-1") -> Metadata:
    """Return call metadata of a tenant's caller."""
    return (("authorization", f"Bearer {credentials.token(org, *roles, user=user)}"),)


def operator() -> Metadata:
    """Return call metadata of a platform operator."""
    return (("authorization", f"Bearer {credentials.operator_token()}"),)


@asynccontextmanager
async def running(settings: Settings, folder: Path, *, worker: bool = True) -> AsyncIterator[Service]:
    """Run server and dispatcher and, unless told otherwise, worker."""
    settings = settings.model_copy(update={"jwt_keys": str(credentials.write_jwks(folder))})
    async with composition.running(settings) as app:
        runtime = PredictionRuntime(PredictionWorker(app, Scorers(app.db)))
        tasks = [asyncio.create_task(app.dispatcher.run())]
        tasks += [asyncio.create_task(runtime.run()), asyncio.create_task(RunWorker(app).run())] if worker else []
        tasks += [asyncio.create_task(app.relay.run())] if worker else []
        server = await serve(settings, services(app), verifier=await verifier_of(settings))
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield Service(app, server, channel)
        finally:
            await server.drain(0.2)
            await runtime.drain(1.0)
            await end(*tasks)
