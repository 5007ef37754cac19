"""The way of a call, over a real connection: what each position of the pipeline does, for all four kinds of RPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.admin.v1 import operations_service_pb2 as operations
from analytics.v1 import analytics_service_pb2_grpc, predictions_pb2, tenant_service_pb2
from analytics.v1 import fact_service_pb2 as facts
from google.rpc import error_details_pb2

from server.errors import AnalyticsError, Kind, Quota, Reason, Resource
from server.identity import Caller, OrgId, Role, UserId
from server.rpc.interceptors import PIPELINE
from server.rpc.ready import Ready
from server.telemetry.metrics import REGISTRY
from tests.rpc.serving import GET, JOB, WATCH, bearer, failure, operator, raw_call, serving, watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.rpc.call import Call

BATCH = facts.IngestFactsRequest(employees=facts.EmployeeBatch())


async def ingested(requests: AsyncIterator[facts.IngestFactsRequest], call: Call) -> facts.IngestFactsResponse:
    return facts.IngestFactsResponse(batches=[facts.BatchResult(batch=index) async for index in _count(requests)])


async def _count(requests: AsyncIterator[facts.IngestFactsRequest]) -> AsyncIterator[int]:
    index = 0
    async for _ in requests:
        yield index
        index += 1


async def test_the_pipeline_has_the_order_of_the_design() -> None:
    assert [part.__name__ for part in PIPELINE] == ["trace", "errors", "log", "deadline", "authenticate", "limits", "validate"]


async def test_a_unary_call_reaches_its_handler_with_the_verified_caller(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.analytics.GetPredictionJob(GET, metadata=bearer("viewer", org="acme", user="ada"), timeout=55)
        (call,) = served.handlers.reached
        assert call.caller == Caller(OrgId("acme"), UserId("ada"), frozenset({Role.VIEWER}))
        assert call.method == "/analytics.v1.AnalyticsService/GetPredictionJob"
        assert 36 < call.remaining() <= 55


async def test_an_answer_that_is_serialized_already_arrives_as_it_is(tmp_path: Path) -> None:
    made = predictions_pb2.GetPredictionJobResponse(job=predictions_pb2.PredictionJob(id=JOB, revision=7))

    async def ready(request: predictions_pb2.GetPredictionJobRequest, call: Call) -> Ready[predictions_pb2.GetPredictionJobResponse]:
        return Ready(made.SerializeToString())

    async with serving(tmp_path, {"GetPredictionJob": ready}) as served:
        assert await served.analytics.GetPredictionJob(GET, metadata=bearer()) == made


async def test_a_stream_of_answers_arrives_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path, {"WatchPredictionJob": watched}) as served:
        stream = served.analytics.WatchPredictionJob(WATCH, metadata=bearer())
        assert [message.job.revision async for message in stream] == [1, 2]


async def test_a_stream_of_requests_arrives_whole(tmp_path: Path) -> None:
    async with serving(tmp_path, {"IngestFacts": ingested}) as served:
        response = await served.facts.IngestFacts(iter([BATCH, BATCH, BATCH]), metadata=bearer())
        assert [batch.batch for batch in response.batches] == [0, 1, 2]


async def test_an_empty_stream_of_requests_is_a_stream(tmp_path: Path) -> None:
    async with serving(tmp_path, {"IngestFacts": ingested}) as served:
        assert not (await served.facts.IngestFacts(iter([]), metadata=bearer())).batches


async def test_every_kind_of_rpc_refuses_a_missing_credential_before_reading_the_message(tmp_path: Path) -> None:
    garbage = b"\xff\xff\xff"
    async with serving(tmp_path, {"IngestFacts": ingested}) as served:
        for path, kind in (
            ("/analytics.v1.AnalyticsService/GetPredictionJob", served.channel.unary_unary),
            ("/analytics.v1.AnalyticsService/WatchPredictionJob", served.channel.unary_stream),
            ("/analytics.v1.FactService/IngestFacts", served.channel.stream_unary),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                await _result(kind(path), garbage, ())
            assert failure(caught.value).info.reason == "CREDENTIALS_MISSING"
            with pytest.raises(grpc.RpcError) as caught:
                await _result(kind(path), garbage, bearer())
            assert failure(caught.value).info.reason == "VALIDATION_FAILED"
        assert [call.method.rpartition("/")[2] for call in served.handlers.reached] == ["IngestFacts"]


async def _result(call: object, message: bytes, metadata: object) -> None:
    request = iter([message]) if isinstance(call, grpc.aio.StreamUnaryMultiCallable) else message
    made = call(request, metadata=metadata)  # type: ignore[operator]  # one of three kinds of callables
    if isinstance(made, grpc.aio.UnaryStreamCall):
        async for _ in made:
            pass
    else:
        await made


async def test_a_missing_role_is_permission_denied_before_validation(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.CancelPredictionJob(predictions_pb2.CancelPredictionJobRequest(job_id="?"), metadata=bearer("viewer"))
        refused = failure(caught.value)
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert (refused.info.reason, refused.info.domain) == ("ROLE_REQUIRED", "analytics")
        assert refused.info.metadata["roles"] == "admin, analyst, owner"
        assert not served.handlers.reached


async def test_an_operator_reads_no_tenant_data_and_a_tenant_no_operations(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.tenants.GetSwitches(tenant_service_pb2.GetSwitchesRequest(), metadata=operator())
        assert failure(caught.value).info.reason == "ROLE_REQUIRED"
        with pytest.raises(grpc.RpcError) as caught:
            await served.operations.GetServiceInfo(operations.GetServiceInfoRequest(), metadata=bearer())
        assert failure(caught.value).info.reason == "ROLE_REQUIRED"
        await served.operations.GetServiceInfo(operations.GetServiceInfoRequest(), metadata=operator())


async def test_every_violation_is_listed_with_its_path_and_rule(tmp_path: Path) -> None:
    request = predictions_pb2.BatchRequestPredictionsRequest(request_id="no uuid")
    request.predictions.add(model_type=99).turnover.employee_key = "x" * 200
    request.predictions.add()
    async with serving(tmp_path) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.BatchRequestPredictions(request, metadata=bearer())
        refused = failure(caught.value)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        found = refused.detail(error_details_pb2.BadRequest).field_violations
        assert {(violation.field, violation.reason) for violation in found} == {
            ("request_id", "STRING_UUID"),
            ("predictions[0].model_type", "ENUM_DEFINED_ONLY"),
            ("predictions[0].turnover.employee_key", "STRING_MAX_LEN"),
            ("predictions[1].model_type", "ENUM_NOT_IN"),
            ("predictions[1].input", "REQUIRED"),
        }
        assert not served.handlers.reached


async def test_a_violation_in_the_middle_of_a_stream_ends_it(tmp_path: Path) -> None:
    async with serving(tmp_path, {"IngestFacts": ingested}) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.facts.IngestFacts(iter([BATCH, facts.IngestFactsRequest()]), metadata=bearer())
        assert failure(caught.value).info.reason == "VALIDATION_FAILED"


async def test_a_large_message_is_refused_and_a_bulk_rpc_takes_it(tmp_path: Path) -> None:
    # An unknown field of 5 MiB, whose bytes are no entries that would be counted.
    padding = b"\xfa\x7f" + b"\x80\x80\xc0\x02" + b"\xff" * (5 << 20)
    async with serving(tmp_path, {"IngestFacts": ingested}) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await _result(served.channel.unary_unary("/analytics.v1.AnalyticsService/GetPredictionJob"), padding, bearer())
        refused = failure(caught.value)
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE")
        await _result(served.channel.stream_unary("/analytics.v1.FactService/IngestFacts"), BATCH.SerializeToString() + padding, bearer())


async def test_a_gzip_bomb_is_refused_and_honest_gzip_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{served.server.port}", compression=grpc.Compression.Gzip, options=[("grpc.max_send_message_length", -1)]
        ) as channel:
            stub = analytics_service_pb2_grpc.AnalyticsServiceStub(channel)
            await stub.GetPredictionJob(GET, metadata=bearer())
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw_call(channel, "/analytics.v1.AnalyticsService/GetPredictionJob", bytes(64 << 20), bearer())
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(served.handlers.reached) == 1


async def test_a_tenant_that_calls_too_fast_is_told_when_to_retry_and_its_neighbour_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path, tenant_request_burst=2, tenant_requests_per_second=0.001) as served:
        for _ in range(2):
            await served.analytics.GetPredictionJob(GET, metadata=bearer(org="fast"))
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=bearer(org="fast"))
        refused = failure(caught.value)
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TENANT_RATE_LIMITED")
        assert refused.detail(error_details_pb2.QuotaFailure).violations[0].subject == "org:fast"
        assert refused.detail(error_details_pb2.RetryInfo).retry_delay.seconds in range(900, 1001)
        await served.analytics.GetPredictionJob(GET, metadata=bearer(org="slow"))


async def test_a_defect_is_internal_with_the_request_id_and_nothing_else(tmp_path: Path) -> None:
    async def defect(request: object, call: Call) -> predictions_pb2.GetPredictionJobResponse:
        message = "canary-7731"
        raise ValueError(message)

    async with serving(tmp_path, {"GetPredictionJob": defect}) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=(*bearer(), ("x-request-id", "request-1")))
        refused = failure(caught.value)
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert dict(refused.info.metadata) == {"request_id": "request-1"}
        assert b"canary" not in refused.status.SerializeToString()


async def test_rich_details_make_the_round_trip(tmp_path: Path) -> None:
    async def refusing(request: object, call: Call) -> predictions_pb2.GetPredictionJobResponse:
        raise AnalyticsError(
            Kind.FAILED_PRECONDITION,
            Reason.INVALID_STATE_TRANSITION,
            "the job has COMPLETED",
            resource=Resource("prediction_job", JOB),
            quota=Quota("org:acme", "something"),
            retry_after=1.5,
            metadata={"state": "COMPLETED"},
        )

    async with serving(tmp_path, {"GetPredictionJob": refusing}) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=bearer())
        refused = failure(caught.value)
        assert (refused.code, refused.info.metadata["state"]) == (grpc.StatusCode.FAILED_PRECONDITION, "COMPLETED")
        assert refused.detail(error_details_pb2.PreconditionFailure).violations[0].subject == f"prediction_job/{JOB}"
        assert refused.detail(error_details_pb2.ResourceInfo).resource_name == JOB
        assert refused.detail(error_details_pb2.RetryInfo).retry_delay.nanos == 500_000_000


async def test_an_error_after_some_answers_of_a_stream_has_its_details_too(tmp_path: Path) -> None:
    async def breaking(request: object, call: Call) -> AsyncIterator[predictions_pb2.WatchPredictionJobResponse]:
        yield predictions_pb2.WatchPredictionJobResponse(heartbeat=True)
        raise AnalyticsError(Kind.NOT_FOUND, Reason.PREDICTION_JOB_NOT_FOUND, "gone")

    async with serving(tmp_path, {"WatchPredictionJob": breaking}) as served:
        stream = served.analytics.WatchPredictionJob(WATCH, metadata=bearer())
        await stream.read()
        with pytest.raises(grpc.RpcError) as caught:
            await stream.read()
        assert failure(caught.value).info.reason == "PREDICTION_JOB_NOT_FOUND"


async def test_a_cancelled_call_cancels_its_handler_and_closes_its_generator(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(request: object, call: Call) -> AsyncIterator[predictions_pb2.WatchPredictionJobResponse]:
        try:
            yield predictions_pb2.WatchPredictionJobResponse(heartbeat=True)
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(tmp_path, {"WatchPredictionJob": endless}) as served:
        stream = served.analytics.WatchPredictionJob(WATCH, metadata=bearer())
        await stream.read()
        await begun.wait()
        assert stream.cancel()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_cancellation_of_our_own_making_does_not_hang_the_client(tmp_path: Path) -> None:
    async def awaits_something_cancelled(request: object, call: Call) -> predictions_pb2.GetPredictionJobResponse:
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost
        return predictions_pb2.GetPredictionJobResponse()

    async with serving(tmp_path, {"GetPredictionJob": awaits_something_cancelled}) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=bearer(), timeout=10)
        assert failure(caught.value).code is grpc.StatusCode.INTERNAL


async def test_the_request_id_is_echoed_or_made(tmp_path: Path) -> None:
    async with serving(tmp_path, {"WatchPredictionJob": watched}) as served:
        for given, echoed in (("my-id_1", True), ("x" * 128, True), ("x" * 129, False), ("two words", False), ("", False)):
            call = served.analytics.GetPredictionJob(GET, metadata=(*bearer(), ("x-request-id", given)))
            await call
            answered = dict(await call.trailing_metadata())["x-request-id"]
            assert (answered == given) is echoed
            assert answered == served.handlers.reached[-1].request_id
        stream = served.analytics.WatchPredictionJob(WATCH, metadata=(*bearer(), ("x-request-id", "stream-1")))
        assert dict(await stream.initial_metadata())["x-request-id"] == "stream-1"
        with pytest.raises(grpc.RpcError) as caught:
            await served.analytics.GetPredictionJob(GET, metadata=(("x-request-id", "failed-1"),))
        assert failure(caught.value).metadata["x-request-id"] == "failed-1"


async def test_the_trace_of_the_caller_goes_on(tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with serving(tmp_path) as served:
        await served.analytics.GetPredictionJob(GET, metadata=(*bearer(), ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")))
        await served.analytics.GetPredictionJob(GET, metadata=(*bearer(), ("traceparent", "00-broken")))
        continued, fresh = served.handlers.reached
        assert continued.traceparent.split("-")[1] == trace
        assert continued.traceparent.split("-")[2] != "00f067aa0ba902b7"
        assert fresh.traceparent.split("-")[1] != trace
        assert len(fresh.traceparent) == 55


async def test_an_unknown_rpc_is_unimplemented_with_details(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for path in ("/analytics.v1.AnalyticsService/Nothing", "/other.Service/Call"):
            with pytest.raises(grpc.RpcError) as caught:
                await raw_call(served.channel, path, b"", bearer())
            refused = failure(caught.value)
            assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND")


async def test_a_call_without_a_message_is_invalid(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        with pytest.raises(grpc.RpcError) as caught:
            await served.channel.stream_unary("/analytics.v1.AnalyticsService/GetPredictionJob")(iter([]), metadata=bearer())
        assert failure(caught.value).info.reason == "VALIDATION_FAILED"


async def test_calls_are_counted_by_method_and_code(tmp_path: Path) -> None:
    def counted(code: str) -> float:
        labels = {"method": "/analytics.v1.AnalyticsService/GetPredictionJob", "code": code}
        return REGISTRY.get_sample_value("analytics_rpc_calls_total", labels) or 0.0

    before = counted("OK"), counted("UNAUTHENTICATED")
    async with serving(tmp_path) as served:
        await served.analytics.GetPredictionJob(GET, metadata=bearer())
        with pytest.raises(grpc.RpcError):
            await served.analytics.GetPredictionJob(GET)
    assert (counted("OK"), counted("UNAUTHENTICATED")) == (before[0] + 1, before[1] + 1)
