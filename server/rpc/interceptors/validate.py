"""Reads the request, parses it, and holds it against the rules of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from protovalidate import EvaluationError, ValidationError, Validator

from server.errors import AnalyticsError, Kind, Reason
from server.rpc.parts import check_parts, check_rows
from server.rpc.violations import field_violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message
    from protovalidate import Violation

    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method

_TOO_MANY = "repeated.max_items"
_validator = Validator()


def validate(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    del rails

    async def validated(exchange: Exchange) -> None:
        raw = await exchange.context.read()
        if not isinstance(raw, bytes):
            raise AnalyticsError(Kind.INVALID_ARGUMENT, Reason.VALIDATION_FAILED, "the request has no message")
        exchange.request = parse(method, raw)
        await following(exchange)

    async def validated_stream(exchange: Exchange) -> None:
        exchange.request = _messages(method, exchange)
        await following(exchange)

    return validated_stream if method.takes_stream else validated


def parse(method: Method, raw: bytes) -> Message:
    """Parse and check one message.

    Raises:
        AnalyticsError: MESSAGE_TOO_LARGE, BATCH_TOO_LARGE, or VALIDATION_FAILED with every violation.

    """
    if len(raw) > method.max_bytes:
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT, Reason.MESSAGE_TOO_LARGE, f"a message may have at most {method.max_bytes >> 20} MiB, this has more"
        )
    try:
        if method.takes_stream:
            check_rows(raw, method.max_parts)
        message = method.request.FromString(raw)
        if not method.takes_stream:
            check_parts(message, method.max_parts)
        violations = _violations(message)
    except (DecodeError, EvaluationError):
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT, Reason.VALIDATION_FAILED, f"the bytes are not a valid {method.request.DESCRIPTOR.full_name}"
        ) from None
    if violations:
        found = field_violations(violations)
        first = f"{found[0].field}: {found[0].description}" if found[0].field else found[0].description
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        reason = Reason.BATCH_TOO_LARGE if found[0].rule == _TOO_MANY else Reason.VALIDATION_FAILED
        raise AnalyticsError(Kind.INVALID_ARGUMENT, reason, first + more, violations=found)
    return message


def _violations(message: Message) -> list[Violation]:
    """Return every violation; of a list that is too long only that, for each of its items may have some of its own."""
    try:
        _validator.validate(message, fail_fast=True)
    except ValidationError as error:
        first = error.violations
        return first if first[0].proto.rule_id == _TOO_MANY else _validator.collect_violations(message)
    return []


async def _messages(method: Method, exchange: Exchange) -> AsyncIterator[Message]:
    read = exchange.context.read
    while isinstance(raw := await read(), bytes):
        yield parse(method, raw)
