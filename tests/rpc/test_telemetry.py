"""Traces, metrics and logs of a call: what is in them, and what never is."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import pytest
import structlog
from analytics.v1 import predictions_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from server.errors import Kind
from server.telemetry import logs, metrics, names, tracing
from tests.rpc.serving import bearer, serving
from tests.support.logged import events, logged

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from server.rpc.call import Call

JOB = "2c1f0f8e-7c3c-4a53-9a35-0c7f4a0d7a10"
GET = predictions_pb2.GetPredictionJobRequest(job_id=JOB)
CANARY = "canary-90210"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged while the test runs."""
    with logged("server") as stream:
        yield stream


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start("analytics-test", exporter=exporter)
    yield exporter
    tracing.stop()


async def broken(_request: object, _call: Call) -> predictions_pb2.GetPredictionJobResponse:
    try:
        float(CANARY)
    except ValueError as error:
        raise LookupError(CANARY) from error
    return predictions_pb2.GetPredictionJobResponse()


async def test_a_call_is_one_line_with_who_what_and_how_long(written: io.StringIO, tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        metadata = (*bearer(org="acme", user="ada"), ("x-request-id", "request-1"), ("traceparent", PARENT))
        await served.analytics.GetPredictionJob(GET, metadata=metadata)
    (line,) = [event for event in events(written) if event["event"] == "rpc"]
    assert {key: value for key, value in line.items() if key not in {"ms", "time"}} == {
        "event": "rpc",
        "level": "info",
        "process": "server",
        "method": "/analytics.v1.AnalyticsService/GetPredictionJob",
        "code": "OK",
        "org": "acme",
        "user": "ada",
        "request_id": "request-1",
        "trace_id": PARENT.split("-")[1],
    }
    assert isinstance(line["ms"], float)


async def test_a_defect_is_logged_by_its_types_and_frames_and_never_by_its_text(written: io.StringIO, tmp_path: Path) -> None:
    async with serving(tmp_path, {"GetPredictionJob": broken}) as served:
        with pytest.raises(grpc.RpcError):
            await served.analytics.GetPredictionJob(GET, metadata=bearer())
    (line,) = [event for event in events(written) if event["event"] == "rpc"]
    exception = line["exception"]
    assert isinstance(exception, dict)
    assert exception["types"] == ["builtins.LookupError", "builtins.ValueError"]
    assert any(frame.endswith(" broken") for frame in exception["frames"])
    assert (line["level"], line["reason"]) == ("error", "INTERNAL")
    assert CANARY not in written.getvalue()


async def test_a_refusal_is_no_error_of_ours(written: io.StringIO, tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        with pytest.raises(grpc.RpcError):
            await served.analytics.GetPredictionJob(predictions_pb2.GetPredictionJobRequest(job_id=CANARY), metadata=bearer())
    (line,) = [event for event in events(written) if event["event"] == "rpc"]
    assert (line["level"], line["code"], line["reason"]) == ("info", "INVALID_ARGUMENT", "VALIDATION_FAILED")
    assert CANARY not in written.getvalue()


def test_the_libraries_log_into_the_same_lines_from_warning_on(written: io.StringIO) -> None:
    logging.getLogger("library").info("fine detail %s", CANARY)
    try:
        float(CANARY)
    except ValueError:
        logging.getLogger("library").exception("it failed")
    (line,) = events(written)
    assert (line["event"], line["level"], line["logger"], line["process"]) == ("it failed", "error", "library", "server")
    assert CANARY not in written.getvalue()


def test_control_an_exceptions_text_would_be_seen(written: io.StringIO) -> None:
    structlog.get_logger().info("told", text=CANARY)
    assert CANARY in written.getvalue()


def test_a_value_that_is_no_json_is_logged_by_its_type(written: io.StringIO) -> None:
    structlog.get_logger().info("told", job=UUID(JOB), kind=Kind.INTERNAL, request=GET, error=ValueError(CANARY))
    (line,) = events(written)
    assert (line["job"], line["request"], line["error"]) == (JOB, "GetPredictionJobRequest", "ValueError")
    assert CANARY not in written.getvalue()


async def test_an_exception_that_nobody_awaited_is_logged_without_its_text(written: io.StringIO) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    logs.watch_loop(loop)
    loop.call_exception_handler({"message": "Task exception was never retrieved", "exception": ValueError(CANARY)})
    loop.set_exception_handler(before)
    (line,) = events(written)
    assert line["event"] == "loop.exception_lost"
    assert CANARY not in written.getvalue()


async def test_a_call_is_a_span_under_its_callers_trace_and_work_inside_it_is_its_child(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    async def works(_request: object, call: Call) -> predictions_pb2.GetPredictionJobResponse:
        with tracing.span("inside"):
            assert tracing.inject() != call.traceparent
        return predictions_pb2.GetPredictionJobResponse()

    async with serving(tmp_path, {"GetPredictionJob": works}) as served:
        await served.analytics.GetPredictionJob(GET, metadata=(*bearer(), ("traceparent", PARENT)))
        (call,) = served.handlers.reached
    with tracing.span(names.SPAN_PREDICTION, parent=call.traceparent, kind=SpanKind.CONSUMER):
        pass
    inside, rpc, job = spans.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in (inside, rpc, job)} == {PARENT.split("-")[1]}
    assert rpc.parent is not None
    assert f"{rpc.parent.span_id:016x}" == PARENT.split("-")[2]
    assert inside.parent == rpc.context
    assert job.parent is not None
    assert job.parent.span_id == rpc.context.span_id
    assert rpc.attributes is not None
    assert (rpc.attributes[names.ATTRIBUTE_ORG], rpc.attributes[names.ATTRIBUTE_RPC_CODE]) == ("acme", 0)
    assert rpc.resource.attributes["service.name"] == "analytics-test"


async def test_a_failed_span_names_the_failure_and_not_its_text(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    async with serving(tmp_path, {"GetPredictionJob": broken}) as served:
        with pytest.raises(grpc.RpcError):
            await served.analytics.GetPredictionJob(GET, metadata=bearer())
    with pytest.raises(ValueError, match=CANARY), tracing.span("job"):
        raise ValueError(CANARY)
    for span in spans.get_finished_spans():
        assert not span.status.is_ok
        assert CANARY not in span.to_json()


async def test_spans_reach_a_collector(tmp_path: Path) -> None:
    arrived: list[ExportTraceServiceRequest] = []

    async def export(request: ExportTraceServiceRequest, _context: object) -> ExportTraceServiceResponse:
        arrived.append(request)
        return ExportTraceServiceResponse()

    collector = grpc.aio.server()
    behaviour = grpc.unary_unary_rpc_method_handler(
        export, ExportTraceServiceRequest.FromString, ExportTraceServiceResponse.SerializeToString
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    collector.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": behaviour}),))
    port = collector.add_insecure_port("127.0.0.1:0")
    await collector.start()
    tracing.start("analytics-test", f"http://127.0.0.1:{port}")
    with tracing.span("job"):
        pass
    # Stopping sends what is left, and blocks until the collector, which lives on this loop, has it.
    await asyncio.to_thread(tracing.stop)
    await collector.stop(0)
    (request,) = arrived
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "job"


def test_without_an_exporter_ids_are_handed_on_all_the_same() -> None:
    with tracing.span("outer", parent=PARENT) as outer, tracing.span("inner") as inner:
        assert not outer.is_recording()
        assert inner.get_span_context().trace_id == outer.get_span_context().trace_id
        assert tracing.inject(outer) != tracing.inject(inner)
        assert tracing.inject().endswith("-01")
    with tracing.span("alone"):
        assert tracing.inject().endswith("-00")
    assert tracing.inject() == ""


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        PARENT[:-1],
        PARENT.upper(),
        PARENT.replace("00-4", "ff-4", 1),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        PARENT + "\n",
        PARENT + "x",
    ],
)
def test_a_malformed_traceparent_begins_a_new_trace(bad: str) -> None:
    assert tracing.extract(bad) is None


def test_the_metrics_page_shows_the_metrics_and_a_taken_port_is_one_sentence() -> None:
    page = metrics.serve(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/metrics") as response:
            shown = response.read().decode()
        assert f"# TYPE {names.RPC_SECONDS} histogram" in shown
        assert "process_resident_memory_bytes" in shown
        with pytest.raises(OSError, match=f"port {page.port} .* is taken"):
            metrics.serve(page.port)
    finally:
        page.close()
