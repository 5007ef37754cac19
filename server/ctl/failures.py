"""How a command fails: exit codes, and what a refusal of the server says.

What always holds: a failure reaches the terminal as sentences and an exit code, never as a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import grpc
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID_HEADER = "x-request-id"
_STATUS_HEADER = "grpc-status-details-bin"

_HINTS = {
    "CREDENTIALS_MISSING": "store a token with `analyticsctl login`, or give one by --token or ANALYTICSCTL_TOKEN",
    "CREDENTIALS_INVALID": "store a token of this server with `analyticsctl login`",
    "CREDENTIALS_EXPIRED": "store a new token with `analyticsctl login`",
    "NO_ACTIVE_MODEL": "train one with `analyticsctl train`",
    "NOT_ENOUGH_TRAINING_DATA": "load more facts with an outcome: employees, contracts, reviews or months of spend (`analyticsctl import`)",
    "MODEL_EVALUATION_NOT_FOUND": "versions have one from this release on: train the next with `analyticsctl train`",
    "JOB_RUN_EXISTS": "repeat with `--attach`, or follow it with `analyticsctl schedule watch ID`",
    "CURSOR_EXPIRED": "events after the remembered place are gone: remove the cursor file; --from-start begins with the oldest",
    "CURSOR_INVALID": "the cursor file is of another organization or database: remove it",
    "EVENT_TYPE_REFUSED": "see `analyticsctl events types`",
    "ETAG_MISMATCH": "read it again and repeat the change with the new etag",
}


class ExitCode(IntEnum):
    """Exit codes of every command; stated in `analyticsctl --help`."""

    OK = 0
    REFUSED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    # As shells say it of a program that SIGINT ended.
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Refusal:
    """A `google.rpc.Status` in plain values.

    `violations` are (field, description); `retry_after` is in seconds.
    """

    code: str
    message: str
    reason: str = ""
    violations: tuple[tuple[str, str], ...] = ()
    retry_after: float | None = None
    resource_type: str = ""
    resource_name: str = ""
    request_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def hint(self) -> str:
        """What to do about it, or an empty text."""
        return _HINTS.get(self.reason, "")


class CtlFailure(Exception):
    """A command cannot go on.

    Args:
        message: one sentence for the person at the terminal.
        exit_code: what the process ends with.
        hint: what to do next; may be empty.

    """

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.REFUSED, hint: str = "") -> None:
        """Keep the parts; the text of the exception is `message`."""
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint


class BadInput(CtlFailure):
    """Something the person gave (option, file, mapping) cannot be used."""

    def __init__(self, message: str, hint: str = "") -> None:
        """End with the exit code of bad input."""
        super().__init__(message, ExitCode.BAD_INPUT, hint)


class Refused(CtlFailure):
    """The server, or the way to it, ended a call with an error status."""

    def __init__(self, refusal: Refusal, exit_code: ExitCode) -> None:
        """Keep the whole refusal for the rendering."""
        super().__init__(refusal.message, exit_code, refusal.hint)
        self.refusal = refusal


def read_status(status: Status, request_id: str = "") -> Refusal:
    """Take a rich status apart, of a call or of a failed job; details of unknown types are left out."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, resource = error_details_pb2.RetryInfo(), error_details_pb2.ResourceInfo()
    has_retry = False
    for detail in status.details:
        for target in (info, bad_request, resource):
            if detail.TypeName() == target.DESCRIPTOR.full_name:
                detail.Unpack(target)
        if detail.TypeName() == retry.DESCRIPTOR.full_name:
            has_retry = detail.Unpack(retry)
    metadata = dict(info.metadata)
    return Refusal(
        code=_code_name(status.code),
        message=status.message,
        reason=info.reason,
        violations=tuple((violation.field, violation.description) for violation in bad_request.field_violations),
        retry_after=retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9 if has_retry else None,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        request_id=metadata.pop("request_id", "") or request_id,
        metadata=metadata,
    )


def refused(error: grpc.RpcError, address: str, request_id: str) -> Refused:
    """The failure behind a broken call.

    A status with an ErrorInfo comes from the service; without one, UNAVAILABLE and DEADLINE_EXCEEDED mean that nothing
    answered.
    """
    # What a stub raises is both, which the published types do not say.
    call: object = error
    if not isinstance(call, grpc.Call):
        return Refused(Refusal("UNKNOWN", str(error) or "the call failed", request_id=request_id), ExitCode.REFUSED)
    code, text = call.code(), call.details() or ""
    for key, value in call.trailing_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str):
            request_id = value
    for key, value in call.trailing_metadata() or ():
        if key == _STATUS_HEADER and isinstance(value, bytes):
            refusal = read_status(Status.FromString(value), request_id)
            if refusal.reason:
                return Refused(refusal, ExitCode.REFUSED)
    if code is grpc.StatusCode.UNAVAILABLE:
        return Refused(Refusal(code.name, f"nothing answers at {address} ({text})", request_id=request_id), ExitCode.UNREACHABLE)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Refused(Refusal(code.name, f"{address} did not answer in time", request_id=request_id), ExitCode.UNREACHABLE)
    return Refused(Refusal(code.name, text or "the server gave no reason", request_id=request_id), ExitCode.REFUSED)


def _code_name(number: int) -> str:
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), str(number))
