"""A trained model without the wait: trained once per test process, registered in each test's database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from server.db.engines import DbRole
from server.facts.model import ATTRIBUTES
from server.identity import ModelId
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
    from collections.abc import Sequence

    from server.app import App
    from server.registry.model import Candidate, Model


@cache
def _trained() -> tuple[Classifying, TrainedModel]:
    people = [employee(message) for message in rows.employees(300)]
    columns = {name: [person.attributes.get(name) for person in people] for name in ATTRIBUTES}
    labels = [bool(person.left_within_year) for person in people]
    pooled = PooledRows(columns, labels, 1, [date(2026, 1, 31)] * len(people), [False] * len(people))
    course = Classifying(TURNOVER, pooled, TURNOVER.to_json(), len(pooled), 1, pooled.cutoff)
    return course, train_classifier(TURNOVER, pooled.columns, pooled.labels, seed=SEED, folds=2)


def quick(_schema: object, _columns: object, labels: Sequence[bool], *, held_out: Sequence[bool], **_options: object) -> TrainedModel:
    """Stand for the training: return what was trained before, as if of these rows."""
    return replace(_trained()[1], rows=len(labels) - sum(held_out))


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
