"""Every way a request or a job can fail, in words of the domain; `server.rpc.status` gives each its gRPC status.

The message of an `AnalyticsError` is written for the caller and says how to mend the request. Anything internal goes
into `__cause__`, which is logged and never sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(Enum):
    """The class of a failure; one gRPC status code each."""

    INVALID_ARGUMENT = auto()
    UNAUTHENTICATED = auto()
    PERMISSION_DENIED = auto()
    NOT_FOUND = auto()
    ALREADY_EXISTS = auto()
    FAILED_PRECONDITION = auto()
    OUT_OF_RANGE = auto()
    ABORTED = auto()
    RESOURCE_EXHAUSTED = auto()
    DEADLINE_EXCEEDED = auto()
    UNAVAILABLE = auto()
    INTERNAL = auto()


class Reason(StrEnum):
    """Machine-readable reasons; a contract test holds this list equal to `analytics.v1.ErrorReason` without what is deprecated there."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:  # noqa: ARG004 - enum's own signature
        return name

    CREDENTIALS_MISSING = auto()
    CREDENTIALS_INVALID = auto()
    CREDENTIALS_EXPIRED = auto()
    ROLE_REQUIRED = auto()
    VALIDATION_FAILED = auto()
    INPUT_SCHEMA_MISMATCH = auto()
    PAGE_TOKEN_INVALID = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    FIELD_MASK_INVALID = auto()
    BATCH_TOO_LARGE = auto()
    MESSAGE_TOO_LARGE = auto()
    NO_ACTIVE_MODEL = auto()
    NOT_ENOUGH_TRAINING_DATA = auto()
    INVALID_STATE_TRANSITION = auto()
    MODEL_NOT_FOUND = auto()
    INPUT_LOST = auto()
    POISON = auto()
    RETRIES_EXHAUSTED = auto()
    CANCELLED = auto()
    DEADLINE_TOO_SHORT = auto()
    TENANT_RATE_LIMITED = auto()
    PREDICTION_QUEUE_FULL = auto()
    PREDICTION_JOB_NOT_FOUND = auto()
    EMPLOYEE_NOT_FOUND = auto()
    INSIGHT_NOT_FOUND = auto()
    CONTRACT_NOT_FOUND = auto()
    SPEND_SERIES_NOT_FOUND = auto()
    MODEL_EVALUATION_NOT_FOUND = auto()
    JOB_RUN_NOT_FOUND = auto()
    JOB_RUN_EXISTS = auto()
    ETAG_MISMATCH = auto()
    CONCURRENT_UPDATE = auto()
    SERVER_DRAINING = auto()
    SERVER_BUSY = auto()
    DATABASE_UNAVAILABLE = auto()
    QUEUE_UNAVAILABLE = auto()
    METHOD_NOT_FOUND = auto()
    CURSOR_EXPIRED = auto()
    CURSOR_INVALID = auto()
    EVENT_TYPE_REFUSED = auto()
    INTERNAL = auto()


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with one field of the request.

    `field` is a path in the request (`turnover.monthly_income`), `description` says what is allowed.
    """

    field: str
    description: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """The thing an error is about: its type (`prediction_job`) and the name the caller used."""

    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit that was reached: whose (`org:...`), and which in words."""

    subject: str
    description: str


class AnalyticsError(Exception):
    """A failure the caller may be told about.

    Args:
        kind: class of the failure.
        reason: machine-readable reason.
        message: one sentence for the caller, without internals and without input values.
        violations: the fields at fault, for INVALID_ARGUMENT.
        resource: what was not found or exists already.
        quota: the exhausted limit.
        retry_after: seconds after which another try makes sense; becomes RetryInfo.
        metadata: further machine-readable facts.

    """

    def __init__(  # noqa: PLR0913 - all but the first three are optional details, passed by name
        self,
        kind: Kind,
        reason: Reason,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        resource: Resource | None = None,
        quota: Quota | None = None,
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the details; the text of the exception is `message`."""
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.resource = resource
        self.quota = quota
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})


def invalid_argument(field: str, description: str, reason: Reason = Reason.VALIDATION_FAILED) -> AnalyticsError:
    """INVALID_ARGUMENT about a single field."""
    return AnalyticsError(Kind.INVALID_ARGUMENT, reason, f"{field}: {description}", violations=[FieldViolation(field, description)])


def not_found(reason: Reason, resource_type: str, name: str) -> AnalyticsError:
    """NOT_FOUND; the same answer for an id that never was and for another tenant's."""
    return AnalyticsError(Kind.NOT_FOUND, reason, f"{resource_type} {name!r} does not exist", resource=Resource(resource_type, name))
