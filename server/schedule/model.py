"""A run of a background job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from server.identity import RunId, UserId


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


MAX_ATTEMPTS = 3


class LeaseLost(Exception):
    """Another worker has the run by now."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """How many organizations of a run were skipped, or failed, for one reason."""

    outcome: str
    reason: str
    organizations: int


@dataclass(frozen=True, slots=True)
class Dealt:
    """What a run has come to with organizations: how many there are (0 before they were counted), and by outcome and reason."""

    total: int
    counts: Sequence[Reasoned]


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `scope` says of what (`turnover_prediction`, empty where there is one kind), `result` is the job's own JSON.

    `scheduled_for` is the tick that began it, None when a person did; `organizations` is None for a job that does not go
    through them.
    """

    run_id: RunId
    job: str
    scope: str
    state: RunState
    progress: float
    message: str
    requested_by: UserId
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    revision: int
    attempt: int
    error_reason: str
    error_message: str
    result: Mapping[str, object] | None
    scheduled_for: datetime | None
    organizations: Dealt | None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run and who asks; `request_id` empty means no idempotency."""

    job: str
    scope: str
    user: UserId
    request_id: str
    request_hash: bytes
    traceparent: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this process holds until its lease ends; `scheduled_for` is the tick that began it."""

    run_id: RunId
    job: str
    scope: str
    lease: UUID
    traceparent: str
    scheduled_for: datetime | None = None


def topic(run_id: RunId) -> str:
    """Name of the bell that rings when a run changes."""
    return f"run:{run_id}"


QUEUED_TOPIC = "runs"
"""Rings when a run was queued."""
