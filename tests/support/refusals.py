"""A refused call as a client reads it out of the trailers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from google.protobuf.message import Message

Detail = TypeVar("Detail", bound="Message")
MOST_DETAIL_BYTES = 4096


@dataclass(frozen=True)
class Refusal:
    """Code, reason and details of a failed call."""

    code: grpc.StatusCode
    status: status_pb2.Status

    @property
    def reason(self) -> str:
        """`ErrorInfo.reason`."""
        return self.detail(error_details_pb2.ErrorInfo).reason

    @property
    def fields(self) -> Mapping[str, str]:
        """What is wrong, by the path of the field; empty without a BadRequest."""
        return {violation.field: violation.description for violation in self._violations()}

    def detail(self, kind: type[Detail]) -> Detail:
        """The one detail of a kind."""
        found = kind()
        packed = next(detail for detail in self.status.details if detail.TypeName() == kind.DESCRIPTOR.full_name)
        assert packed.Unpack(found)
        return found

    def has(self, kind: type[Message]) -> bool:
        """Whether there is a detail of a kind."""
        return any(detail.TypeName() == kind.DESCRIPTOR.full_name for detail in self.status.details)

    def _violations(self) -> list[error_details_pb2.BadRequest.FieldViolation]:
        return list(self.detail(error_details_pb2.BadRequest).field_violations) if self.has(error_details_pb2.BadRequest) else []


async def refusal(call: Awaitable[object]) -> Refusal:
    """Await a call that must fail, and check what every failure has: ErrorInfo of our domain, small details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return read(caught.value)


def read(error: grpc.aio.AioRpcError) -> Refusal:
    """Read a failure."""
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    assert isinstance(packed, bytes), f"no details: {error!r}"
    assert len(packed) <= MOST_DETAIL_BYTES
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    found = Refusal(error.code(), status)
    assert found.detail(error_details_pb2.ErrorInfo).domain == "analytics"
    return found
