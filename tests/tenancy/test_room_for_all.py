"""Nobody takes the room of all: open streams are bounded, a tenant's and those of strangers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
from analytics.v1 import predictions_pb2, tenant_service_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.rpc.anonymous import MAX_OPEN_STREAMS
from tests.support import environment, live, trained
from tests.support.asking import accepted, typed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

OTHER = live.bearer("other")


async def answers(service: Service) -> bool:
    """Whether another tenant is served."""
    await service.tenants.GetSwitches(tenant_service_pb2.GetSwitchesRequest(), metadata=OTHER, timeout=5)
    return True


async def test_open_watches_of_one_tenant_end_at_its_limit_and_leave_the_others_alone(
    cluster: Cluster, database: str, tmp_path: Path
) -> None:
    settings = environment.settings(cluster, database, tenant_concurrent_calls=3, max_concurrent_calls=20)
    async with live.running(settings, tmp_path, worker=False) as service:
        await trained.activate_model(service.app)
        greedy = live.bearer("greedy")
        job_id = (await accepted(service, greedy, typed(1))).job_id
        request = predictions_pb2.WatchPredictionJobRequest(job_id=job_id)
        watches = [service.analytics.WatchPredictionJob(request, metadata=greedy) for _ in range(8)]
        outcomes = await asyncio.gather(*(watch.read() for watch in watches), return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
        assert len(refused) == 5
        assert {each.code() for each in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert await answers(service)
        for watch in watches:
            watch.cancel()


async def test_anonymous_health_watches_have_a_budget_of_their_own(cluster: Cluster, database: str, tmp_path: Path) -> None:
    settings = environment.settings(cluster, database, max_concurrent_calls=300)
    async with live.running(settings, tmp_path, worker=False) as service, AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(service.address))
        health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]  # the package has no types
        watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_OPEN_STREAMS + 20)]
        outcomes = await asyncio.gather(*(watch.read() for watch in watches), return_exceptions=True)
        assert sum(isinstance(each, grpc.aio.AioRpcError) for each in outcomes) >= 20
        assert await answers(service)
        for watch in watches:
            watch.cancel()
