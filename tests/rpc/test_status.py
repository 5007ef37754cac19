"""Failures on the wire: complete, and small enough for every client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import grpc
import pytest
from analytics.v1 import errors_pb2
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.errors import AnalyticsError, FieldViolation, Kind, Quota, Reason, Resource
from server.queue import QueueUnavailable
from server.rpc.interceptors.errors import errors, explain
from server.rpc.status import CODES, MAX_BYTES, code_of, message_of, to_status_proto, trailers

if TYPE_CHECKING:
    from server.rpc.interceptors.exchange import Exchange
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method

TEXT = st.text(max_size=3_000)


def test_every_kind_has_a_code_of_its_own() -> None:
    assert CODES.keys() == set(Kind)
    assert len(set(CODES.values())) == len(Kind)


def test_the_reasons_are_those_of_the_contract() -> None:
    values = errors_pb2.ErrorReason.DESCRIPTOR.values
    # A deprecated one stays in the contract and is sent no more.
    named = {value.name.removeprefix("ERROR_REASON_") for value in values if not value.GetOptions().deprecated}
    assert {reason.value for reason in Reason} == named - {"UNSPECIFIED"}


@given(
    message=TEXT,
    violations=st.lists(st.builds(FieldViolation, TEXT, TEXT, TEXT), max_size=100),
    resource=st.none() | st.builds(Resource, TEXT, TEXT),
    quota=st.none() | st.builds(Quota, TEXT, TEXT),
    metadata=st.dictionaries(TEXT, TEXT, max_size=20),
    kind=st.sampled_from(Kind),
)
def test_details_stay_under_4_kib_whatever_the_error_says(  # noqa: PLR0913 - one argument per part of an error
    message: str,
    violations: list[FieldViolation],
    resource: Resource | None,
    quota: Quota | None,
    metadata: dict[str, str],
    kind: Kind,
) -> None:
    error = AnalyticsError(
        kind, Reason.VALIDATION_FAILED, message, violations=violations, resource=resource, quota=quota, retry_after=1, metadata=metadata
    )
    status = to_status_proto(error, "r" * 128)
    assert status.ByteSize() <= MAX_BYTES
    assert status.message == message_of(error)


def test_violations_that_do_not_fit_are_counted() -> None:
    violations = [FieldViolation(f"predictions[{number}].turnover.employee_key", "must be at most 128 characters") for number in range(500)]
    status = to_status_proto(AnalyticsError(Kind.INVALID_ARGUMENT, Reason.VALIDATION_FAILED, "no", violations=violations))
    info, listed = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(listed)
    assert len(listed.field_violations) + int(info.metadata["violations_omitted"]) == 500
    assert len(listed.field_violations) > 20


def test_the_request_id_goes_along_with_internal_errors_only() -> None:
    for kind in Kind:
        info = error_details_pb2.ErrorInfo()
        assert to_status_proto(AnalyticsError(kind, Reason.INTERNAL, "x"), "request-1").details[0].Unpack(info)
        assert ("request_id" in info.metadata) is (kind is Kind.INTERNAL)


def test_an_rpc_that_does_not_exist_is_unimplemented() -> None:
    assert code_of(AnalyticsError(Kind.NOT_FOUND, Reason.METHOD_NOT_FOUND, "x")) is grpc.StatusCode.UNIMPLEMENTED


def test_trailers_carry_the_status_and_the_request_id() -> None:
    error = AnalyticsError(Kind.ABORTED, Reason.ETAG_MISMATCH, "x")
    assert dict(trailers(error, "r")) == {"grpc-status-details-bin": to_status_proto(error, "r").SerializeToString(), "x-request-id": "r"}


class Driver(Exception):
    """What the database driver raises, as SQLAlchemy wraps it."""

    def __init__(self, sqlstate: str | None = None) -> None:
        super().__init__("canary")
        self.sqlstate = sqlstate


def wrapped(sqlstate: str | None, *, invalidated: bool = False) -> DBAPIError:
    return DBAPIError("SELECT 1", {}, Driver(sqlstate), connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ConnectionRefusedError(), Reason.DATABASE_UNAVAILABLE),
        (FileNotFoundError(), Reason.DATABASE_UNAVAILABLE),
        (TimeoutError(), Reason.DATABASE_UNAVAILABLE),
        (PoolTimeout(), Reason.DATABASE_UNAVAILABLE),
        (wrapped("57P01"), Reason.DATABASE_UNAVAILABLE),
        (wrapped("57P03"), Reason.DATABASE_UNAVAILABLE),
        (wrapped("53300"), Reason.DATABASE_UNAVAILABLE),
        (wrapped("08006"), Reason.DATABASE_UNAVAILABLE),
        (Driver("57P03"), Reason.DATABASE_UNAVAILABLE),
        (wrapped(None, invalidated=True), Reason.DATABASE_UNAVAILABLE),
        (wrapped("40001"), Reason.CONCURRENT_UPDATE),
        (wrapped("40P01"), Reason.CONCURRENT_UPDATE),
        (QueueUnavailable(), Reason.QUEUE_UNAVAILABLE),
        (wrapped("42501"), Reason.INTERNAL),
        (wrapped("57014"), Reason.INTERNAL),
        (ValueError("canary"), Reason.INTERNAL),
        (LookupError("canary"), Reason.INTERNAL),
    ],
)
def test_a_failure_below_becomes_a_reason_and_its_text_stays_inside(raised: Exception, reason: Reason) -> None:
    explained = explain(raised)
    assert explained.reason is reason
    assert "canary" not in explained.message
    assert (explained.retry_after is None) is (reason is Reason.INTERNAL)


async def test_an_abort_passes_the_errors_interceptor_untouched() -> None:
    async def aborted(_exchange: Exchange) -> None:
        raise grpc.aio.AbortError

    # Neither the context nor anything else of the exchange is touched, so there is none.
    stage = errors(cast("Method", None), cast("Rails", None), aborted)
    with pytest.raises(grpc.aio.AbortError):
        await stage(cast("Exchange", None))


async def test_a_cancellation_from_outside_passes_the_errors_interceptor() -> None:
    waiting = asyncio.Event()

    async def waits(_exchange: Exchange) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(errors(cast("Method", None), cast("Rails", None), waits)(cast("Exchange", None)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
