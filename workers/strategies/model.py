"""What a training of any type consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date
    from typing import TypeAlias

    from server.db import ReadTx
    from server.registry.model import Artifact, Json

    Progress: TypeAlias = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training leaves behind.

    Args:
        content: the trees.
        card: what loading needs beside them.
        metrics: how good it is on rows it was not trained on.
        rows: how many it was trained on; of a classifier from 10,000 on nine tenths of them grew the trees, and a tenth decided when
            to stop and calibrated.
        evaluation: what there is to draw of the rows the metrics are of.

    """

    content: bytes
    card: Json
    metrics: Json
    rows: int
    evaluation: Json


@dataclass(frozen=True, slots=True)
class Rival:
    """The active version that a candidate is compared with, and the newest date that it learned from."""

    artifact: Artifact
    cutoff: date


@dataclass(frozen=True, slots=True)
class Judged:
    """Losses of two versions and of the naive baseline on the same rows; see `server.registry.model.Evidence`."""

    rule: str
    rows: int
    measure: str
    candidate: float
    baseline: float | None
    active: float | None


class Course(Protocol):
    """The pooled rows of a type, and what can be done with them; methods compute and belong into a thread."""

    @property
    def schema(self) -> Json:
        """What a version reads."""

    @property
    def rows(self) -> int:
        """How many there are, held-out ones included."""

    @property
    def contributors(self) -> int:
        """How many organizations they come from."""

    @property
    def cutoff(self) -> date | None:
        """Date of the newest one that is learned from."""

    def train(self, progress: Progress) -> Trained:
        """Train on the rows that are not held out.

        Raises:
            TrainingDataInsufficient: there are too few.

        """

    def objection(self, metrics: Json) -> str:
        """Why a version with these metrics is worth nothing: no better than the naive baseline; empty when it is."""

    def judge(self, candidate: Artifact, active: Rival | None) -> Judged:
        """Judge a version and the active one on held-out rows; an active one that cannot be loaded has no loss.

        Raises:
            TrainingDataInsufficient: there are too few held-out rows.

        """


class Strategy(Protocol):
    """How the rows of a type are read."""

    def __call__(self, tx: ReadTx, /) -> Awaitable[Callable[[], Course]]:
        """Read; what is returned makes the course, in a thread and when the transaction is over."""
