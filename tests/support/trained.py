"""A trained model without the wait: trained once per test process, registered in each test's database."""

from __future__ import annotations

import asyncio
from datetime import date
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from server.facts.model import ATTRIBUTES
from server.ml.training import TrainedModel, train_classifier
from server.ml.turnover import TURNOVER
from server.registry.model import ModelType
from server.training.model import PooledRows
from server.wire.employees import employee
from tests.support import rows
from workers.training import SEED, candidate, register

if TYPE_CHECKING:
    from server.app import App
    from server.registry.model import Model


@cache
def _trained() -> tuple[PooledRows, TrainedModel]:
    people = [employee(message) for message in rows.employees(300)]
    columns = {name: [person.attributes.get(name) for person in people] for name in ATTRIBUTES}
    pooled = PooledRows(columns, [bool(person.left_within_year) for person in people], 1, date(2026, 1, 31))
    return pooled, train_classifier(TURNOVER, pooled.columns, pooled.labels, seed=SEED, folds=2)


async def activate_model(app: App) -> Model:
    """Register and activate a turnover model."""
    pooled, trained = await asyncio.to_thread(_trained)
    return await register(app, candidate(ModelType.TURNOVER_PREDICTION, pooled, trained), trained, uuid4())
