"""Failures on the wire: one status code per kind, and `google.rpc.Status` with details in the trailers.

The details stay under 4 KB, because larger trailers break clients and proxies: texts are cut, and of too many violations
the first ones are listed and the rest is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from server.errors import Kind, Reason

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from server.errors import AnalyticsError, FieldViolation

DOMAIN = "analytics"
DETAILS_KEY = "grpc-status-details-bin"
MAX_BYTES = 4_096
_MAX_TEXT = 500
_MAX_VALUE = 160
# What the length prefixes of the enclosing messages may take.
_RESERVE = 128
_MAX_METADATA = 6

CODES = {
    Kind.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Kind.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.OUT_OF_RANGE: grpc.StatusCode.OUT_OF_RANGE,
    Kind.ABORTED: grpc.StatusCode.ABORTED,
    Kind.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}


def code_of(error: AnalyticsError) -> grpc.StatusCode:
    """Return the status code: that of the kind, but an RPC that does not exist is UNIMPLEMENTED."""
    if error.reason is Reason.METHOD_NOT_FOUND:
        return grpc.StatusCode.UNIMPLEMENTED
    return CODES[error.kind]


def to_status_proto(error: AnalyticsError, request_id: str = "") -> status_pb2.Status:
    """Return the failure with its details, under 4 KB; `request_id` goes along for INTERNAL."""
    number, _ = code_of(error).value
    status = status_pb2.Status(code=number, message=_cut(error.message, _MAX_TEXT))
    metadata = {_cut(key, _MAX_VALUE): _cut(value, _MAX_VALUE) for key, value in list(error.metadata.items())[:_MAX_METADATA]}
    if error.kind is Kind.INTERNAL and request_id:
        metadata["request_id"] = request_id
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    others = _details(error)
    if error.violations:
        used = status.ByteSize() + sum(_packed_size(detail) for detail in (info, *others))
        listed = _bad_request(error.violations, MAX_BYTES - used - _RESERVE)
        omitted = len(error.violations) - len(listed.field_violations)
        if omitted:
            info.metadata["violations_omitted"] = str(omitted)
        others.insert(0, listed)
    for detail in (info, *others):
        status.details.add().Pack(detail)
    return status


def trailers(error: AnalyticsError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Return the trailing metadata of a failed call."""
    return ((DETAILS_KEY, to_status_proto(error, request_id).SerializeToString()), ("x-request-id", request_id))


def message_of(error: AnalyticsError) -> str:
    """Return the text beside the status code."""
    return _cut(error.message, _MAX_TEXT)


def _details(error: AnalyticsError) -> list[Message]:
    details: list[Message] = []
    if error.kind is Kind.FAILED_PRECONDITION:
        subject = f"{error.resource.type}/{error.resource.name}" if error.resource else ""
        broken = error_details_pb2.PreconditionFailure.Violation(
            type=error.reason, subject=_cut(subject, _MAX_VALUE), description=_cut(error.message, _MAX_VALUE)
        )
        details.append(error_details_pb2.PreconditionFailure(violations=[broken]))
    if error.resource is not None:
        named = error_details_pb2.ResourceInfo(
            resource_type=_cut(error.resource.type, _MAX_VALUE), resource_name=_cut(error.resource.name, _MAX_VALUE)
        )
        details.append(named)
    if error.quota is not None:
        reached = error_details_pb2.QuotaFailure.Violation(
            subject=_cut(error.quota.subject, _MAX_VALUE), description=_cut(error.quota.description, _MAX_VALUE)
        )
        details.append(error_details_pb2.QuotaFailure(violations=[reached]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _bad_request(violations: tuple[FieldViolation, ...], room: int) -> error_details_pb2.BadRequest:
    """List as many violations as fit into `room` bytes."""
    listed = error_details_pb2.BadRequest()
    for violation in violations:
        listed.field_violations.add(
            field=_cut(violation.field, _MAX_VALUE),
            description=_cut(violation.description, _MAX_VALUE),
            # google.rpc wants reasons in UPPER_SNAKE_CASE: `string.max_len` becomes STRING_MAX_LEN.
            reason=_cut(violation.rule.upper().replace(".", "_"), _MAX_VALUE),
        )
        if _packed_size(listed) > room:
            del listed.field_violations[-1]
            break
    return listed


def _packed_size(detail: Message) -> int:
    return detail.ByteSize() + len(f"type.googleapis.com/{detail.DESCRIPTOR.full_name}") + 10


def _cut(text: str, characters: int) -> str:
    """Cut a text; also in bytes, because a character may take four."""
    raw = text.encode(errors="replace")
    return text if len(raw) <= characters else raw[: characters - 3].decode(errors="ignore") + "..."
