"""A trained model without the wait: trained once per test process, registered in each test's database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from server.db.engines import DbRole
from server.identity import ModelId
from server.ml.encoding import table
from server.ml.training import TrainedModel, train_classifier
from server.ml.turnover import TURNOVER
from server.registry import store as registry
from server.registry.model import ModelType
from server.registry.register import register_candidate
from server.training.model import PooledRows
from server.wire.employees import employee
from tests.support import rows
from workers.strategies.classifying import SEED, Classifying
from workers.strategies.model import Trained
from workers.training import candidate

if TYPE_CHECKING:
    from server.app import App
    from server.ml.training import Flags
    from server.registry.model import Candidate, Model


@cache
def _trained() -> tuple[Classifying, TrainedModel]:
    people = [employee(message) for message in rows.employees(300)]
    columns = table(TURNOVER, {name: [person.attributes.get(name) for person in people] for name in TURNOVER.names})
    labels = np.array([bool(person.left_within_year) for person in people])
    pooled = PooledRows(columns, labels, 1, np.full(len(people), np.datetime64("2026-01-31")), np.zeros(len(people), np.bool_))
    course = Classifying(TURNOVER, pooled, TURNOVER.to_json(), len(pooled), 1, pooled.cutoff)
    return course, train_classifier(TURNOVER, pooled.columns, pooled.labels, seed=SEED, folds=2)


def quick(_schema: object, _columns: object, labels: Flags, *, held_out: Flags, **_options: object) -> TrainedModel:
    """Stand for the training: return what was trained before, as if of these rows."""
    return replace(_trained()[1], rows=len(labels) - int(held_out.sum()))


def made() -> Candidate:
    """Return the candidate of a turnover training."""
    course, trained = _trained()
    metrics = {name: getattr(trained.metrics, name) for name in trained.metrics.__slots__}
    found = Trained(trained.artifact, trained.card, metrics, trained.rows, trained.evaluation.to_json())
    return candidate(ModelType.TURNOVER_PREDICTION, course, found)


async def activate_model(app: App) -> Model:
    """Register and activate a turnover model."""
    return await activate(app, await asyncio.to_thread(made))


async def activate(app: App, fresh: Candidate) -> Model:
    """Register and activate a candidate."""
    async with app.db.platform(DbRole.TRAINER) as tx:
        model = await register_candidate(tx, uuid4(), fresh)
        current = await registry.active(tx, fresh.type)
        assert await registry.swap_active(tx, fresh.type, model.model_id, None if current is None else current.model_id)
        active = await registry.get(tx, ModelId(model.model_id))
    assert active is not None
    return active
