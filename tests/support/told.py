"""Trainings without the wait: what a version would lose on the held-out rows is told, everything around it is real."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from server.registry.model import ModelType
from workers import retraining, training
from workers.strategies.model import Judged, Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from server.db import ReadTx
    from server.registry.model import Artifact, Json
    from workers.strategies.model import Progress, Rival

CUTOFF = date(2026, 1, 31)
BASELINE = 10.0


@dataclass
class Told:
    """Rows of a type; each training takes the next loss.

    Args:
        losses: of the versions, in the order of their training.
        meanwhile: called while a version is judged, in the thread that judges.
        asked: the losses (of the candidate, of the active version) of each comparison.

    """

    losses: Iterator[float]
    meanwhile: Callable[[], None] = lambda: None
    asked: list[tuple[float, float | None]] = field(default_factory=list)
    schema: Json = field(default_factory=lambda: {"features": []})
    rows: int = 1_000
    contributors: int = 3
    cutoff: date | None = CUTOFF
    _one: threading.Lock = field(default_factory=threading.Lock)

    async def __call__(self, _tx: ReadTx, /) -> Callable[[], Told]:
        """Stand for the reading of the rows."""
        return lambda: self

    def train(self, progress: Progress) -> Trained:
        """Stand for the training; the artifact holds the loss."""
        progress(0.5, "training")
        with self._one:
            loss = next(self.losses)
        metrics = {"brier_score": loss, "baseline_brier_score": BASELINE}
        return Trained(json.dumps(loss).encode(), {}, metrics, self.rows, {"kind": "told"})

    def objection(self, metrics: Json) -> str:
        """Find fault with losses beyond the baseline's."""
        return "no better than the base rate" if float(str(metrics["brier_score"])) >= BASELINE else ""

    def judge(self, candidate: Artifact, active: Rival | None) -> Judged:
        """Read the losses of both."""
        ours = float(json.loads(candidate.content))
        other = None if active is None else float(json.loads(active.artifact.content))
        self.asked.append((ours, other))
        self.meanwhile()
        return Judged("told", self.rows, "brier_score", ours, BASELINE, other)


def falling() -> Iterator[float]:
    """Losses of which every third is worse than those before."""
    return (5.0 + number if number % 3 == 2 else 1 / (1 + number) for number in itertools.count())


def instead_of_training(monkeypatch: pytest.MonkeyPatch, told: Callable[[], Told] = lambda: Told(falling())) -> dict[ModelType, Told]:
    """Put told trainings in the place of all four."""
    made = {kind: told() for kind in ModelType}
    for module in (training, retraining):
        monkeypatch.setattr(module, "STRATEGIES", made)
    return made
