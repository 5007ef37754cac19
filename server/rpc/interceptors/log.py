"""One log line and one count per call: who, what, how long, how it ended; never what was in it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc
import structlog
from opentelemetry.trace import StatusCode

from server.errors import Kind
from server.rpc.interceptors.errors import cancelled_from_outside, explain
from server.rpc.status import code_of
from server.telemetry import names
from server.telemetry.metrics import RPC_CALLS, RPC_IN_FLIGHT, RPC_SECONDS

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from server.errors import AnalyticsError
    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method


def log(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    del rails
    path = method.path
    # Bound once: the lazy logger of a module would be put together anew on every call.
    write: FilteringBoundLogger = structlog.get_logger().bind()
    seconds = RPC_SECONDS.labels(path)
    # Looked up once here and not on every call.
    counts = {code: RPC_CALLS.labels(path, code.name) for code in grpc.StatusCode}

    async def logged(exchange: Exchange) -> None:
        began = time.perf_counter()
        code = grpc.StatusCode.OK
        RPC_IN_FLIGHT.inc()
        try:
            await following(exchange)
        except asyncio.CancelledError as error:
            if cancelled_from_outside():
                code = grpc.StatusCode.CANCELLED
                raise
            code = _note(exchange, error)
            raise _failure(exchange) from error
        except Exception as error:
            code = _note(exchange, error)
            raise _failure(exchange) from error
        finally:
            RPC_IN_FLIGHT.dec()
            took = time.perf_counter() - began
            seconds.observe(took)
            counts[code].inc()
            _write_line(write, path, exchange, code, took)

    return logged


def _note(exchange: Exchange, error: BaseException) -> grpc.StatusCode:
    exchange.failure = explain(error)
    return code_of(exchange.failure)


def _failure(exchange: Exchange) -> AnalyticsError:
    return exchange.failure or explain(RuntimeError())


def _write_line(write: FilteringBoundLogger, path: str, exchange: Exchange, code: grpc.StatusCode, took: float) -> None:
    caller, failure, span = exchange.caller, exchange.failure, exchange.span
    line: dict[str, object] = {"method": path, "code": code.name, "ms": round(took * 1e3, 3)}
    if caller is not None:
        line["org"], line["user"] = caller.org_id, caller.user_id
    if failure is not None:
        line["reason"] = failure.reason.value
    if span.is_recording():
        span.set_attribute(names.ATTRIBUTE_RPC_CODE, code.value[0])
        span.set_attribute(names.ATTRIBUTE_REQUEST_ID, exchange.request_id)
        if caller is not None and caller.org_id is not None:
            span.set_attribute(names.ATTRIBUTE_ORG, caller.org_id)
        if failure is not None:
            span.set_attribute(names.ATTRIBUTE_REASON, failure.reason.value)
            span.set_status(StatusCode.ERROR, failure.reason.value)
    if failure is not None and failure.kind in (Kind.INTERNAL, Kind.UNAVAILABLE):
        write.error("rpc", exc_info=failure.__cause__ or True, **line)
    else:
        write.info("rpc", **line)
