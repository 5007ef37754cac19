"""Workers started and stopped when a test says so, and a service that the tests of a file share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.lifecycle import end
from tests.support import environment, live, trained
from workers.predictions import PredictionWorker
from workers.runs import RunWorker
from workers.runtime import PredictionRuntime
from workers.scorers import Scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service


@asynccontextmanager
async def working(service: Service) -> AsyncIterator[None]:
    """Run a worker beside a service that was started without one."""
    runtime = PredictionRuntime(PredictionWorker(service.app, Scorers(service.app.db)))
    tasks = [asyncio.create_task(runtime.run()), asyncio.create_task(RunWorker(service.app).run())]
    try:
        yield
    finally:
        await runtime.drain(1.0)
        await end(*tasks)


@asynccontextmanager
async def shared_service(
    cluster: Cluster, folder: Path, *, model: bool, worker: bool = True, valkey_database: int = 1
) -> AsyncIterator[Service]:
    """Run a service on a database of its own and apart from other services in Valkey, for all tests of a file.

    Tests keep out of each other's way by organizations of their own. Two such services of one file need different
    databases of Valkey, or one's worker takes the other's jobs off the queue.
    """
    name = await cluster.create_database()
    settings = environment.settings(cluster, name, redis_url=f"{cluster.valkey.url}?db={valkey_database}")
    try:
        async with live.running(settings, folder, worker=worker) as service:
            await service.app.valkey.client.flushdb()
            if model:
                await trained.activate_model(service.app)
            yield service
    finally:
        await cluster.drop_database(name)
