"""Run the job `train`: pool, train, register, judge, activate."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING
from uuid import uuid5

from server.db.engines import DbRole
from server.errors import AnalyticsError, Kind, Reason
from server.identity import ModelId
from server.ml.training import TrainingDataInsufficient
from server.registry import store as registry
from server.registry.model import Artifact, Candidate, Failure, ModelState, ModelType
from server.registry.register import register_candidate
from workers.judging import settle
from workers.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from server.app import App
    from server.registry.model import Model
    from server.schedule.model import Claim
    from workers.strategies.model import Course, Trained

    Progress = Callable[[float, str], None]

_TRAINED = 0.95


async def train_shared_model(app: App, claim: Claim, progress: Progress) -> Mapping[str, object]:
    """Train the shared model of the type that is the run's scope; returns the JSON result of the run.

    Raises:
        AnalyticsError: NOT_ENOUGH_TRAINING_DATA, there are too few rows, or what they teach is worth nothing; INTERNAL, what was
            stored of the version is damaged.

    """
    model, contributors = await train_type(app, ModelType(claim.scope), uuid5(claim.run_id, "model"), progress)
    if model.failure_reason == Failure.DAMAGED:
        raise AnalyticsError(Kind.INTERNAL, Reason.INTERNAL, f"version {model.version}: {model.failure_reason}; train anew")
    if model.state is ModelState.FAILED and (model.evidence is None or not model.evidence.active_version):
        message = f"version {model.version}: {model.failure_reason}; it stays inactive, more or better rows are needed"
        raise not_enough(message)
    return {"model_id": str(model.model_id), "organizations": contributors}


async def train_type(app: App, model_type: ModelType, model_id: UUID, progress: Progress) -> tuple[Model, int]:
    """Train a version and bring it to ACTIVE or FAILED; returns it with the number of contributing organizations.

    Where the version is registered already, as after a crash, the training is not repeated.

    Raises:
        AnalyticsError: NOT_ENOUGH_TRAINING_DATA or CONCURRENT_UPDATE.

    """
    progress(0.0, "pooling the rows of consenting organizations")
    async with app.db.platform(DbRole.TRAINER) as tx:
        known = await registry.get(tx, ModelId(model_id))
        read = await STRATEGIES[model_type](tx)
    course = await asyncio.to_thread(read)
    if known is None:
        needed = app.settings.training_minimum_rows
        if course.rows < needed:
            message = f"{course.rows} labelled rows of consenting organizations; at least {needed} are needed"
            raise not_enough(message)
        try:
            trained = await asyncio.to_thread(course.train, lambda share, words: progress(share * _TRAINED, words))
        except TrainingDataInsufficient as error:
            raise not_enough(str(error)) from error
        async with app.db.platform(DbRole.TRAINER) as tx:
            known = await register_candidate(tx, model_id, candidate(model_type, course, trained))
    progress(_TRAINED, "judging")
    return await settle(app, course, known.model_id), course.contributors


def candidate(model_type: ModelType, course: Course, trained: Trained) -> Candidate:
    """Return what is registered of a training."""
    cutoff = datetime.combine(course.cutoff or datetime.now(UTC).date(), time(), UTC)
    return Candidate(
        type=model_type,
        training_cutoff=cutoff,
        metrics=trained.metrics,
        schema=course.schema,
        training_rows=trained.rows,
        artifact=Artifact(trained.content, hashlib.sha256(trained.content).hexdigest(), trained.card),
        evaluation=trained.evaluation,
    )


def not_enough(message: str) -> AnalyticsError:
    """Return the error of a training without enough rows."""
    return AnalyticsError(Kind.FAILED_PRECONDITION, Reason.NOT_ENOUGH_TRAINING_DATA, message)
