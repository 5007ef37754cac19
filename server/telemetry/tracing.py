"""Traces: the W3C `traceparent` of a call travels through the queue to the worker, whether or not anything is exported.

Spans are recorded only when somebody exports them. Otherwise a span is two ids: enough to correlate, nothing to collect.
The text of an exception never goes into a span.
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_ATTRIBUTES: Mapping[str, str] = {}


@dataclass(slots=True)
class _Process:
    """How this process traces; replaced by `start`."""

    tracer: Tracer | None = None
    provider: TracerProvider | None = None


_process = _Process()


def start(service: str, otlp_endpoint: str = "", exporter: SpanExporter | None = None) -> None:
    """Record spans from now on when there is somewhere to send them.

    Args:
        service: `service.name` of the spans, for example `analytics-server`.
        otlp_endpoint: gRPC endpoint of a collector; empty sends nothing.
        exporter: takes every ended span at once, for tests.

    """
    stop()
    if not otlp_endpoint and exporter is None:
        return
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    if otlp_endpoint:
        # Here, because it costs 20 MB and most processes export nothing.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    _process.provider = provider
    _process.tracer = provider.get_tracer("analytics")


def stop() -> None:
    """Send what is left and record nothing any more."""
    if _process.provider is not None:
        _process.provider.shutdown()
    _process.provider = None
    _process.tracer = None


@contextmanager
def span(
    name: str, *, parent: str = "", kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[str, str] = _NO_ATTRIBUTES
) -> Iterator[Span]:
    """Open a span around the block.

    Args:
        name: one of `server.telemetry.names`, or the path of an RPC.
        parent: `traceparent` of the caller; empty or malformed continues the current trace or begins one.
        kind: SERVER and CONSUMER for the receiving side of a call and of a job.
        attributes: ids and names, never input values.

    """
    remote = extract(parent) if parent else None
    around = trace.set_span_in_context(NonRecordingSpan(remote)) if remote is not None else contexts.get_current()
    opened = _recorded(name, around, kind, attributes) if _process.tracer is not None else _ids_only(around)
    token = contexts.attach(trace.set_span_in_context(opened, around))
    try:
        yield opened
    except Exception as error:
        opened.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        opened.end()
        contexts.detach(token)


def extract(traceparent: str) -> SpanContext | None:
    """Parse a W3C `traceparent` (Trace Context level 2, section 3.2); None when it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def inject(of: Span | None = None) -> str:
    """Return the `traceparent` of a span, of the current one by default; empty outside any span."""
    here = (of or trace.get_current_span()).get_span_context()
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}" if here.is_valid else ""


def _recorded(name: str, around: contexts.Context, kind: SpanKind, attributes: Mapping[str, str]) -> Span:
    if _process.tracer is None:
        return _ids_only(around)
    return _process.tracer.start_span(name, around, kind, attributes, record_exception=False, set_status_on_exception=False)


def _ids_only(around: contexts.Context) -> Span:
    parent = trace.get_current_span(around).get_span_context()
    inherited = parent.is_valid
    return NonRecordingSpan(
        SpanContext(
            parent.trace_id if inherited else _random_id(128),
            _random_id(64),
            is_remote=False,
            trace_flags=parent.trace_flags if inherited else TraceFlags(TraceFlags.DEFAULT),
        )
    )


def _random_id(bits: int) -> int:
    """Return a non-zero id; ids of traces need to be different, not secret."""
    return random.getrandbits(bits) or 1
