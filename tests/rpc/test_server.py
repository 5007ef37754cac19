"""The server around the pipeline: registration, health, reflection, TLS, ports, draining."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from analytics.v1 import analytics_service_pb2, analytics_service_pb2_grpc, predictions_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from server.rpc.keys import KeysUnreadable
from server.rpc.server import HandlersIncomplete, serve, verifier_of
from server.rpc.watches import draining_error
from server.settings import Settings
from tests.rpc.certificates import Authority
from tests.rpc.serving import Handlers, bearer, failure, serving, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.rpc.call import Call

JOB = "2c1f0f8e-7c3c-4a53-9a35-0c7f4a0d7a10"
GET = predictions_pb2.GetPredictionJobRequest(job_id=JOB)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def lines(folder: Path, handlers: dict[str, list[object]]) -> list[str]:
    with pytest.raises(HandlersIncomplete) as caught:
        await serve(settings_for(folder), handlers)
    return str(caught.value).splitlines()


async def test_a_missing_a_doubled_and_a_wrong_handler_stop_the_start(tmp_path: Path) -> None:
    good = {service: list(owners) for service, owners in Handlers().by_service().items()}

    class Wrong:
        async def watch_prediction_job(self) -> None:
            """Answer once."""

        async def get_prediction_job(self) -> AsyncIterator[None]:
            yield

    tenants = good["analytics.v1.TenantService"]
    assert len(await lines(tmp_path, good | {"analytics.v1.TenantService": []})) == 5
    assert "has 2 handlers" in (await lines(tmp_path, good | {"analytics.v1.TenantService": tenants * 2}))[0]
    assert await lines(tmp_path, good | {"analytics.v1.Other": []}) == ["analytics.v1.Other is not in the contract"]
    analytics = good["analytics.v1.AnalyticsService"][0]
    owner = type("Mixed", (), {name: vars(type(analytics))[name] for name in vars(type(analytics)) if name in RPCS - set(vars(Wrong))})
    wrong = await lines(tmp_path, good | {"analytics.v1.AnalyticsService": [owner(), Wrong()]})
    assert [line.split(":")[0] for line in wrong] == [
        "/analytics.v1.AnalyticsService/GetPredictionJob has one answer",
        "/analytics.v1.AnalyticsService/WatchPredictionJob answers with a stream",
    ]


METHODS = analytics_service_pb2.DESCRIPTOR.services_by_name["AnalyticsService"].methods
RPCS = {re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower() for method in METHODS}


async def test_health_is_open_and_says_serving(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        stub = health_pb2_grpc.HealthStub(served.channel)  # type: ignore[no-untyped-call]  # the package has no types for its stubs
        for service in ("", "analytics.v1.AnalyticsService", "analytics.admin.v1.OperationsService"):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def listed(channel: grpc.aio.Channel) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]  # the package has no types for its stubs
    call = stub.ServerReflectionInfo(iter([request]))
    return {service.name async for response in call for service in response.list_services_response.service}


async def test_reflection_is_a_setting(tmp_path: Path) -> None:
    async with serving(tmp_path, reflection=True) as served:
        assert await listed(served.channel) == {
            "analytics.v1.AnalyticsService",
            "analytics.v1.FactService",
            "analytics.v1.TenantService",
            "analytics.admin.v1.OperationsService",
            "analytics.events.v1.EventService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
    async with serving(tmp_path) as served:
        with pytest.raises(grpc.RpcError):
            await listed(served.channel)


async def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{served.server.port}"):
            await serve(settings_for(tmp_path, grpc_port=served.server.port), Handlers().by_service())


async def test_missing_keys_are_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(KeysUnreadable, match=r"ANALYTICS_JWT_KEYS.*No such file"):
        await verifier_of(Settings(jwt_keys=str(tmp_path / "none.json")))


async def test_tls_is_served_and_a_client_certificate_adds_to_the_token(tmp_path: Path) -> None:
    authority = Authority()
    key, certificate = authority.issue("server")
    files = {"tls_private_key": key, "tls_certificate": certificate, "tls_client_ca": authority.pem}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths: dict[str, Any] = {name: str(tmp_path / name) for name in files}
    async with serving(tmp_path, **paths) as served:
        address = f"127.0.0.1:{served.server.port}"
        known = grpc.ssl_channel_credentials(authority.pem, *authority.issue("client"))
        async with grpc.aio.secure_channel(address, known) as channel:
            stub = analytics_service_pb2_grpc.AnalyticsServiceStub(channel)
            await stub.GetPredictionJob(GET, metadata=bearer())
            with pytest.raises(grpc.RpcError) as caught:
                await stub.GetPredictionJob(GET)
            assert failure(caught.value).info.reason == "CREDENTIALS_MISSING"
        strangers = grpc.ssl_channel_credentials(authority.pem, *Authority().issue("client"))
        for credentials in (grpc.ssl_channel_credentials(authority.pem), strangers):
            async with grpc.aio.secure_channel(address, credentials) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await analytics_service_pb2_grpc.AnalyticsServiceStub(channel).GetPredictionJob(GET, metadata=bearer())
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert len(served.handlers.reached) == 1


async def test_draining_ends_streams_and_lets_running_calls_finish_and_takes_no_new_ones(tmp_path: Path) -> None:
    begun, proceed = asyncio.Event(), asyncio.Event()

    async def slow(_request: object, _call: Call) -> predictions_pb2.GetPredictionJobResponse:
        begun.set()
        await proceed.wait()
        return predictions_pb2.GetPredictionJobResponse(job=predictions_pb2.PredictionJob(id=JOB))

    async def watch(_request: object, call: Call) -> AsyncIterator[predictions_pb2.WatchPredictionJobResponse]:
        yield predictions_pb2.WatchPredictionJobResponse(heartbeat=True)
        await call.draining.wait()
        raise draining_error()

    async with serving(tmp_path, {"GetPredictionJob": slow, "WatchPredictionJob": watch}) as served:
        stub = health_pb2_grpc.HealthStub(served.channel)  # type: ignore[no-untyped-call]  # the package has no types for its stubs
        health = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await health.read()).status == SERVING
        stream = served.analytics.WatchPredictionJob(predictions_pb2.WatchPredictionJobRequest(job_id=JOB), metadata=bearer())
        await stream.read()
        running = served.analytics.GetPredictionJob(GET, metadata=bearer())
        await begun.wait()

        drained = asyncio.create_task(served.server.drain(30))
        assert (await health.read()).status == NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            await stream.read()
        ended = failure(caught.value)
        assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        assert ended.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=bearer(), timeout=5)
        assert failure(caught.value).info.reason == "SERVER_DRAINING"
        proceed.set()
        assert (await running).job.id == JOB
        # Long before the 30 s, although the watch of the health would go on for ever.
        await asyncio.wait_for(drained, 5)


async def test_what_does_not_finish_in_time_is_cancelled_and_two_drains_at_once_are_one(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(_request: object, _call: Call) -> predictions_pb2.GetPredictionJobResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return predictions_pb2.GetPredictionJobResponse()

    async with serving(tmp_path, {"GetPredictionJob": forever}) as served:
        running = asyncio.ensure_future(served.analytics.GetPredictionJob(GET, metadata=bearer()))
        await begun.wait()
        await asyncio.gather(served.server.drain(0.05), served.server.drain(0.05))
        assert ended.is_set()
        with pytest.raises(grpc.aio.AioRpcError):
            await running
