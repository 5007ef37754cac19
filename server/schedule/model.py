"""A run of a background job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `scope` says of what (`turnover_prediction`), `result` is the job's own JSON."""

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
    """A run that this process holds until its lease ends."""

    run_id: RunId
    job: str
    scope: str
    lease: UUID
    traceparent: str


def topic(run_id: RunId) -> str:
    """Name of the bell that rings when a run changes."""
    return f"run:{run_id}"


QUEUED_TOPIC = "runs"
"""Rings when a run was queued."""
