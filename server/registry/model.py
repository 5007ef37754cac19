"""What a model version is and which ways it may go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from server.identity import ModelId

    # Parsed JSON written by our own code: metrics, feature schemas, calibration.
    Json = Mapping[str, object]


class ModelType(StrEnum):
    """The four shared model types."""

    TURNOVER_PREDICTION = "turnover_prediction"
    SPEND_FORECASTING = "spend_forecasting"
    CONTRACT_RISK = "contract_risk"
    PERFORMANCE_PREDICTION = "performance_prediction"


class ModelState(StrEnum):
    """Where a version stands."""

    TRAINING = "TRAINING"
    ACTIVE = "ACTIVE"
    DEPRECATED = "DEPRECATED"
    FAILED = "FAILED"


class Failure(StrEnum):
    """Why a version failed, as everybody is told."""

    CANNOT_BE_JUDGED = "cannot be judged"
    NOT_GOOD_ENOUGH = "no better than a plain guess, or not as sure as it says"
    WORSE = "worse than the active version"
    DAMAGED = "its stored bytes are not those that were registered"


@dataclass(frozen=True, slots=True)
class Version:
    """Semantic version of a model."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `1.2.3`."""
        major, minor, patch = (int(part) for part in text.split("."))
        return cls(major, minor, patch)

    def next_minor(self) -> Version:
        """Return the version of a retraining on the same feature schema."""
        return Version(self.major, self.minor + 1, 0)

    def next_major(self) -> Version:
        """Return the version after a change of the feature schema."""
        return Version(self.major + 1, 0, 0)

    def __str__(self) -> str:
        """Write `1.2.3`."""
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class Model:
    """A registered version without its artifact."""

    model_id: ModelId
    name: str
    type: ModelType
    version: str
    state: ModelState
    training_cutoff: datetime
    metrics: Json
    schema: Json
    training_rows: int
    artifact_sha256: str
    created_at: datetime
    activated_at: datetime | None
    failure_reason: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a version became active, or did not: it and the active version of that time, judged on the same rows.

    Args:
        rule: which rows, in words.
        rows: how many.
        measure: what the losses are, for example `brier_score`; smaller is better.
        candidate: loss of the version.
        baseline: loss of the naive baseline on these rows; None when it was not measured on them.
        active: loss of the active version; None when there was none, or what is stored of it cannot be loaded.
        active_version: of the active version; empty when there was none.
        active_id: the same, as its id.

    """

    rule: str
    rows: int
    measure: str
    candidate: float
    baseline: float | None
    active: float | None
    active_version: str
    active_id: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """What scoring needs: the booster as UBJSON, and the card (encoder, calibration) that goes with it."""

    content: bytes
    sha256: str
    card: Json

    @property
    def intact(self) -> bool:
        """Whether the bytes are those that were registered; asked before they are read, wherever that is."""
        return hashlib.sha256(self.content).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class Candidate:
    """A freshly trained version, to be registered; `evaluation` is what there is to draw of it."""

    type: ModelType
    training_cutoff: datetime
    metrics: Json
    schema: Json
    training_rows: int
    artifact: Artifact
    evaluation: Json
