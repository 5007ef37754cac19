"""Run the job `train`: pool, train, judge, register, activate."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING
from uuid import uuid5

from server.db.engines import DbRole
from server.errors import AnalyticsError, Kind, Reason
from server.identity import ModelId
from server.ml.training import TrainedModel, TrainingDataInsufficient, train_classifier
from server.ml.turnover import TURNOVER
from server.registry import store as registry
from server.registry.model import Artifact, Candidate, ModelType
from server.registry.register import register_candidate
from server.training import store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from server.app import App
    from server.registry.model import Model
    from server.schedule.model import Claim
    from server.training.model import PooledRows

    Progress = Callable[[float, str], None]

SEED = 20_260_101


async def train_shared_model(app: App, claim: Claim, progress: Progress) -> Mapping[str, object]:
    """Train the shared model of the type that is the run's scope; returns the JSON result of the run.

    The version's id is derived from the run's, so a run that is taken twice registers one version.

    Raises:
        AnalyticsError: NOT_ENOUGH_TRAINING_DATA, or a type that cannot be trained yet.

    """
    model_type = ModelType(claim.scope)
    if model_type is not ModelType.TURNOVER_PREDICTION:
        raise AnalyticsError(
            Kind.FAILED_PRECONDITION, Reason.NOT_ENOUGH_TRAINING_DATA, f"no facts to train {model_type} from can be loaded yet"
        )
    progress(0.0, "pooling the rows of consenting organizations")
    async with app.db.platform(DbRole.TRAINER) as tx:
        rows = await store.pooled_turnover_rows(tx)
    if len(rows) < app.settings.training_minimum_rows:
        found, needed = len(rows), app.settings.training_minimum_rows
        message = f"{found} labelled rows of consenting organizations; at least {needed} are needed"
        raise not_enough(message)
    try:
        trained = await asyncio.to_thread(train_classifier, TURNOVER, rows.columns, rows.labels, seed=SEED, progress=progress)
    except TrainingDataInsufficient as error:
        raise not_enough(str(error)) from error
    progress(0.97, "registering")
    model = await register(app, candidate(model_type, rows, trained), trained, uuid5(claim.run_id, "model"))
    return {"model_id": str(model.model_id), "organizations": rows.contributors}


def candidate(model_type: ModelType, rows: PooledRows, trained: TrainedModel) -> Candidate:
    """Return what is registered of a training."""
    cutoff = datetime.combine(rows.cutoff or datetime.now(UTC).date(), time(), UTC)
    sha256 = hashlib.sha256(trained.artifact).hexdigest()
    return Candidate(
        type=model_type,
        training_cutoff=cutoff,
        metrics=asdict(trained.metrics),
        schema=TURNOVER.to_json(),
        training_rows=len(rows),
        artifact=Artifact(trained.artifact, sha256, trained.card),
    )


async def register(app: App, fresh: Candidate, trained: TrainedModel, model_id: UUID) -> Model:
    """Register the candidate and make it active, unless it is no better than knowing the base rate."""
    metrics = trained.metrics
    prior = metrics.base_rate * (1 - metrics.base_rate)
    async with app.db.platform(DbRole.TRAINER) as tx:
        known = await registry.get(tx, ModelId(model_id))
        if known is not None:
            return known
        model = await register_candidate(tx, model_id, fresh)
        if metrics.brier_score < prior:
            await registry.swap_active(tx, fresh.type, model.model_id)
        else:
            reason = f"no better than the base rate: Brier score {metrics.brier_score:.4f}, base rate alone {prior:.4f}"
            await registry.fail(tx, model.model_id, reason)
    if metrics.brier_score >= prior:
        raise AnalyticsError(
            Kind.FAILED_PRECONDITION,
            Reason.NOT_ENOUGH_TRAINING_DATA,
            f"version {model.version} is no better than the base rate and stays inactive; more or better rows are needed",
        )
    return model


def not_enough(message: str) -> AnalyticsError:
    """Return the error of a training without enough rows."""
    return AnalyticsError(Kind.FAILED_PRECONDITION, Reason.NOT_ENOUGH_TRAINING_DATA, message)
