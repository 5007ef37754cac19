"""One trace from the call through the queue to the worker, log lines without payload, and a page of metrics."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.request
from typing import TYPE_CHECKING

import pytest
import structlog
from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import predictions_pb2 as pb
from opentelemetry.trace import SpanKind

from server.telemetry import logs, metrics, names
from tests.support import environment, live, rows, runs, searching, trained
from tests.support.asking import PLAIN, accepted, ended, new_org, untyped
from tests.support.loading import load
from tests.support.refusals import refusal
from tests.support.until import until, until_so
from workers.strategies import classifying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from tests.support.databases import Cluster
    from tests.support.live import Service

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{CALLER}-01")
SECRET = PLAIN | {"department": searching.TEXT, "monthly_income": searching.NUMBER}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged at the normal level."""
    stream = io.StringIO()
    logs.configure("server", "info", stream)
    yield stream
    logs.configure("test", "error")


@pytest.fixture
async def traced(
    cluster: Cluster, database: str, tmp_path: Path, spans: InMemorySpanExporter, lines: io.StringIO
) -> AsyncIterator[Service]:
    """A service with worker and model that traces and logs."""
    async with live.running(environment.settings(cluster, database), tmp_path) as service:
        await trained.activate_model(service.app)
        yield service


async def _span(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    def found() -> list[ReadableSpan]:
        return [span for span in exporter.get_finished_spans() if span.name == name]

    await until(lambda: bool(found()))
    (span,) = found()
    return span


def _place(span: ReadableSpan) -> tuple[str, str, str]:
    """Trace, span and parent as hexadecimal digits."""
    assert span.context is not None
    assert span.parent is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", f"{span.parent.span_id:016x}"


async def test_a_prediction_is_one_trace_from_the_caller_through_the_queue_to_the_worker(
    traced: Service, spans: InMemorySpanExporter
) -> None:
    org = new_org()
    who = (*live.bearer(org), TRACEPARENT, ("x-request-id", "call-1"))
    job_id = (await accepted(traced, who, untyped(SECRET))).job_id
    await ended(traced, live.bearer(org), job_id)
    call = await _span(spans, "analytics.v1.AnalyticsService/RequestPrediction")
    work = await _span(spans, names.SPAN_PREDICTION)
    trace, call_id, parent = _place(call)
    assert (trace, parent, call.kind) == (TRACE, CALLER, SpanKind.SERVER)
    assert (_place(work)[0], _place(work)[2], work.kind) == (TRACE, call_id, SpanKind.CONSUMER)
    assert (call.attributes or {})[names.ATTRIBUTE_REQUEST_ID] == "call-1"
    assert (call.attributes or {})[names.ATTRIBUTE_ORG] == org
    assert (work.attributes or {})[names.ATTRIBUTE_JOB_ID] == job_id
    assert (work.attributes or {})[names.ATTRIBUTE_ORG] == org


async def test_a_training_is_one_trace_from_the_operator_to_the_worker(
    traced: Service, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifying, "train_classifier", trained.quick)
    await load(traced, live.bearer("acme"), rows.employees(200))
    started = (await traced.operations.RunJob(runs.order(), metadata=(*live.operator(), TRACEPARENT))).run
    assert (await runs.ended(traced, started.id)).state == ops.JOB_RUN_STATE_COMPLETED
    call = await _span(spans, "analytics.admin.v1.OperationsService/RunJob")
    work = await _span(spans, names.SPAN_JOB_RUN)
    assert _place(call)[0] == TRACE
    assert (_place(work)[0], _place(work)[2]) == (TRACE, _place(call)[1])


async def test_calls_of_two_callers_are_two_traces(traced: Service, spans: InMemorySpanExporter) -> None:
    for number in (1, 2):
        who = live.bearer(new_org())
        await ended(traced, who, (await accepted(traced, who, untyped(SECRET | {"job_level": number}))).job_id)
    await until(lambda: sum(span.name == names.SPAN_PREDICTION for span in spans.get_finished_spans()) == 2)
    by_trace: dict[int, set[str]] = {}
    for span in spans.get_finished_spans():
        assert span.context is not None
        by_trace.setdefault(span.context.trace_id, set()).add(span.name)
    both = {"analytics.v1.AnalyticsService/RequestPrediction", names.SPAN_PREDICTION}
    assert sum(both <= inside for inside in by_trace.values()) == 2


async def test_every_line_is_json_and_a_calls_line_says_who_what_and_how_but_not_with_what(traced: Service, lines: io.StringIO) -> None:
    org = new_org()
    who = (*live.bearer(org, user="ada"), TRACEPARENT, ("x-request-id", "call-2"))
    job_id = (await accepted(traced, who, untyped(SECRET))).job_id
    await ended(traced, who, job_id)
    await refusal(accepted(traced, who, untyped(SECRET | {"shoe_size": searching.TEXT})))
    person = rows.employee(1)
    person.attributes.department, person.attributes.monthly_income = searching.TEXT, searching.NUMBER
    person.employee_key = searching.TEXT
    await load(traced, who, [person])
    person.attributes.monthly_income = -searching.NUMBER
    await load(traced, who, [person])
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    calls = [line for line in told if line["event"] == "rpc" and line.get("org") == org]
    requested = [line for line in calls if line["method"].endswith("/RequestPrediction")]
    assert [line["code"] for line in requested] == ["OK", "INVALID_ARGUMENT"]
    assert requested[1]["reason"] == "INPUT_SCHEMA_MISMATCH"
    for line in calls:
        assert (line["request_id"], line["trace_id"], line["user"], line["process"]) == ("call-2", TRACE, "ada", "server")
        assert line["ms"] >= 0
    assert {line["method"].rpartition("/")[2] for line in calls} == {"RequestPrediction", "GetPredictionJob", "IngestFacts"}
    assert not searching.found(lines.getvalue().encode())


async def test_control_a_payload_in_a_line_is_found(lines: io.StringIO) -> None:
    structlog.get_logger().info("rpc", request=f"monthly_income: {searching.NUMBER}")
    assert searching.found(lines.getvalue().encode())


async def test_the_page_of_metrics_counts_calls_by_method_and_code_and_predictions_by_state(traced: Service) -> None:
    page = metrics.serve(0)
    try:
        before = await asyncio.to_thread(_read, page.port)
        org = new_org()
        who = live.bearer(org)
        await ended(traced, who, (await accepted(traced, who, untyped(SECRET))).job_id)
        await refusal(accepted(traced, who, pb.RequestPredictionRequest()))
        method = 'method="/analytics.v1.AnalyticsService/RequestPrediction"'
        counted = f'{names.PREDICTIONS_ENDED}{{model_type="turnover_prediction",state="COMPLETED"}}'

        async def is_counted() -> bool:
            # The worker tells of the end before it counts it.
            return (await asyncio.to_thread(_read, page.port)).get(counted, 0.0) > before.get(counted, 0.0)

        await until_so(is_counted)
        after = await asyncio.to_thread(_read, page.port)
    finally:
        await asyncio.to_thread(page.close)
    for sample, more in (
        (f'{names.RPC_CALLS}{{code="OK",{method}}}', 1),
        (f'{names.RPC_CALLS}{{code="INVALID_ARGUMENT",{method}}}', 1),
        (f"{names.RPC_SECONDS}_count{{{method}}}", 2),
        (f'{names.PREDICTIONS_ACCEPTED}{{deduplicated="false",model_type="turnover_prediction"}}', 1),
        (counted, 1),
        (names.PREDICTIONS_STARTED, 1),
    ):
        assert after[sample] - before.get(sample, 0.0) == more, sample
    assert org not in "".join(after)


def _read(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}
