"""What every row gets: the running service, clients, a connection that counts beside it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import grpc
import grpc.aio

from bench.asking import Tenant
from bench.stack import process
from server import app as composition
from tests.support import trained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.stack import Databases, Process
    from server.registry.model import Model


@dataclass(frozen=True, slots=True)
class Service:
    """The measured service."""

    made: Databases
    server: Process
    worker: Process
    channel: grpc.aio.Channel
    admin: asyncpg.Connection
    model: Model
    scale: float

    def tenant(self, org: str) -> Tenant:
        """Return a client of an organization."""
        return Tenant(self.channel, org)

    def on(self, channel: grpc.aio.Channel, org: str) -> Tenant:
        """Return a client of an organization on a channel of its own."""
        return Tenant(channel, org)

    def some(self, count: int) -> int:
        """Return a number of repetitions, smaller for a quick run."""
        return max(2, int(count * self.scale))

    async def count(self, query: str, *arguments: object) -> int:
        """Count beside the measured processes."""
        found: int = await self.admin.fetchval(query, *arguments)
        return found


@asynccontextmanager
async def service(made: Databases, scale: float) -> AsyncIterator[Service]:
    """Migrate, register a model, start server and worker."""
    await made.prepare()
    async with composition.running(made.settings()) as app:
        model = await trained.activate_model(app)
    with process(made, "server") as server, process(made, "workers") as worker:
        admin = await asyncpg.connect(made.admin_url)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield Service(made, server, worker, channel, admin, model, scale)
        finally:
            await admin.close()
