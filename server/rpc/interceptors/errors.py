"""Turns whatever a call raised into a status; decides what of it the caller may know."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc.aio
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.errors import AnalyticsError, Kind, Reason
from server.queue import QueueUnavailable
from server.rpc.status import code_of, message_of, trailers

if TYPE_CHECKING:
    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method

_RETRY_SECONDS = 1.0
# SQLSTATE classes and codes (PostgreSQL, appendix A): connection failures; shut down, crashed, starting; too many clients.
_OUTAGES = ("08", "57P01", "57P02", "57P03", "53300")
# Serialization failure and deadlock: nothing is wrong but the moment.
_COLLISIONS = frozenset({"40001", "40P01"})
_log = structlog.get_logger(__name__)


def errors(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    del method, rails

    async def answered(exchange: Exchange) -> None:
        try:
            await following(exchange)
        except grpc.aio.AbortError:
            # The status is on its way already.
            raise
        except asyncio.CancelledError as error:
            if cancelled_from_outside():
                raise
            failure = explain(error)
        except Exception as error:  # noqa: BLE001 - the one place where nothing may pass
            failure = exchange.failure or explain(error)
            if exchange.failure is None and failure.kind is Kind.INTERNAL:
                _log.exception("rpc.failed_unlogged")
        else:
            return
        await exchange.context.abort(code_of(failure), message_of(failure), trailers(failure, exchange.request_id))

    return answered


def cancelled_from_outside() -> bool:
    """Whether the call itself was cancelled; otherwise something it awaited was, and that must not look like it.

    A cancellation of our own making that reaches grpc leaves the client without an answer.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def explain(error: BaseException) -> AnalyticsError:
    """Say in words for the caller what went wrong."""
    if isinstance(error, AnalyticsError):
        return error
    if isinstance(error, QueueUnavailable):
        return _unavailable(Reason.QUEUE_UNAVAILABLE, "the queue cannot be reached at the moment; retry")
    # The driver raises plain OSErrors while it connects; handlers do no other input and output of their own.
    if isinstance(error, PoolTimeout | OSError):
        return _unavailable(Reason.DATABASE_UNAVAILABLE, "the database cannot be reached at the moment; retry")
    sqlstate = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if sqlstate.startswith(_OUTAGES) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return _unavailable(Reason.DATABASE_UNAVAILABLE, "the database cannot be reached at the moment; retry")
    if sqlstate in _COLLISIONS:
        return AnalyticsError(
            Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another change was made at the same time; retry", retry_after=_RETRY_SECONDS
        )
    return AnalyticsError(
        Kind.INTERNAL, Reason.INTERNAL, "something failed on our side; the request id in the details finds it in our logs"
    )


def _unavailable(reason: Reason, message: str) -> AnalyticsError:
    return AnalyticsError(Kind.UNAVAILABLE, reason, message, retry_after=_RETRY_SECONDS)
