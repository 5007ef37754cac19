"""A prediction job and its result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from uuid import UUID

    from server.identity import JobId, ModelId, OrgId
    from server.registry.model import ModelType

InputHash = NewType("InputHash", bytes)
"""SHA-256 of the canonical (RFC 8785) input, 32 bytes."""

FeatureValue = float | int | bool | str

LIKELIER = 0.5
"""From this probability on, an outcome is the likelier of the two."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}),
    JobState.COMPLETED: frozenset(),
    # Asked for again: a new generation of the same job.
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}
"""Where a job may go from each state. Statements keep to it by their conditions; tests of guarantee 1 judge every change by it."""


class Direction(StrEnum):
    """Which way a feature moved a score."""

    INCREASES = "INCREASES"
    DECREASES = "DECREASES"


class Band(StrEnum):
    """Where a value lies among the training rows."""

    MISSING = "MISSING"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CATEGORY = "CATEGORY"


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added to the log-odds of a score; never its value."""

    feature: str
    direction: Direction
    contribution: float
    band: Band


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A probability with what moved it.

    `score` and `confidence` are calibrated probabilities; confidence is that of the likelier outcome, 0.5 to 1.
    """

    score: float
    confidence: float
    contributions: tuple[Contribution, ...]
    model_was_drifting: bool

    @property
    def likely(self) -> bool:
        """Whether it is the likelier of the two outcomes."""
        return self.score >= LIKELIER


class TurnoverResult(Likelihood):
    """That an employee leaves within a year."""

    __slots__ = ()


class ContractRiskResult(Likelihood):
    """That a contract goes wrong."""

    __slots__ = ()


class PerformanceResult(Likelihood):
    """That the next result stays below its target."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SpendPoint:
    """What is forecast for a month, of which `period` is the first day."""

    period: date
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SpendResult:
    """The coming months of a series; `confidence` is the share of held-out outcomes that intervals of `level` did hold."""

    points: tuple[SpendPoint, ...]
    level: float
    confidence: float
    contributions: tuple[Contribution, ...]
    model_was_drifting: bool


Result: TypeAlias = TurnoverResult | ContractRiskResult | PerformanceResult | SpendResult


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job did not complete: a reason of `server.errors.Reason` and a sentence without input values."""

    reason: str
    message: str


Outcome: TypeAlias = Result | JobFailure
"""How a run of a job ended."""


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """A job as its tenant sees it."""

    job_id: JobId
    model_id: ModelId
    model_type: ModelType
    model_version: str
    input_hash: InputHash
    state: JobState
    schedule_time: datetime
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    attempt: int
    revision: int
    generation: int
    failure: JobFailure | None
    result: Result | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None shows all."""

    model_type: ModelType | None
    state: JobState | None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to insert."""

    job_id: JobId
    model_id: ModelId
    model_type: ModelType
    model_version: str
    input_hash: InputHash
    schedule_time: datetime | None
    requested_by: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Start:
    """A claimed start of a job, as the dispatcher hands it to a worker; says nothing of input or result."""

    org: OrgId
    job_id: JobId
    generation: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A start that a worker acknowledged: only the holder of `token` may finish it.

    `attempt` counts the starts of the generation, this one included; `failures` the runs before that failed for a passing reason.
    """

    org: OrgId
    job_id: JobId
    token: UUID
    model_id: ModelId
    model_type: ModelType
    model_version: str
    generation: int
    attempt: int
    failures: int
    traceparent: str


QUEUED_TOPIC = "predictions"
"""Rings when a job was queued or a slot became free."""

HANDED_OVER_TOPIC = "predictions handed over"
"""Rings when workers find something to take."""


def topic(job_id: JobId) -> str:
    """Name of the bell that rings when a job changes."""
    return f"prediction:{job_id}"
