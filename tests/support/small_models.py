"""Small models of the types that the nightly run uses, each trained once per test process in about a second."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING
from unittest.mock import patch

from server.facts.model import ATTRIBUTES
from server.ml import boosting
from server.ml.contract_risk import CONTRACT_RISK
from server.ml.forecasting import train_forecaster
from server.ml.series import Panel, Series
from server.ml.spend import SPEND
from server.ml.training import train_classifier
from server.ml.turnover import TURNOVER
from server.registry.model import Artifact, Candidate, ModelType
from server.wire.employees import employee
from tests.support import rows
from tests.support.trained import activate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.app import App
    from server.facts.model import AttributeValue
    from server.ml.schema import FeatureSchema
    from server.registry.model import Json

_SEED = 11
_CUTOFF = datetime(2025, 1, 1, tzinfo=UTC)


async def activate_all(app: App) -> None:
    """Register and activate a model of turnover, one of contract risk and one of spend, all 1.0.0."""
    for made in (turnover, contract_risk, spend):
        await activate(app, made())


@cache
def turnover() -> Candidate:
    """Return a model that flags people with overtime and little satisfaction."""
    people = [employee(message) for message in rows.employees(300)]
    columns = {name: [person.attributes.get(name) for person in people] for name in ATTRIBUTES}
    labels = [_pull(person.attributes) > 0 for person in people]
    return _classifier(ModelType.TURNOVER_PREDICTION, TURNOVER, columns, labels)


def _pull(known: Mapping[str, AttributeValue]) -> float:
    satisfaction = known.get("job_satisfaction", 3)
    assert isinstance(satisfaction, int | float)
    return 1.0 * bool(known.get("over_time")) - 0.4 * satisfaction


@cache
def contract_risk() -> Candidate:
    """Return a model that expects contracts to go wrong with disputes and late payments."""
    dice = random.Random(_SEED)
    columns: dict[str, list[AttributeValue | None]] = {name: [] for name in CONTRACT_RISK.names}
    labels = []
    for _ in range(200):
        late, disputes = dice.choice((0, 0, 1, 3)), dice.choice((0, 0, 1, 2))
        known = {"value": dice.lognormvariate(10, 1), "late_payments": late, "disputes": disputes, "services": dice.randint(1, 6)}
        for name, column in columns.items():
            column.append(known.get(name))
        labels.append(dice.random() < (0.95 if late + disputes >= 2 else 0.03))
    return _classifier(ModelType.CONTRACT_RISK, CONTRACT_RISK, columns, labels)


@cache
def spend() -> Candidate:
    """Return a model of eight series with a season."""
    dice = random.Random(_SEED)
    first = date(2022, 1, 1).year * 12
    panel = Panel.of(
        [
            Series.of(
                f"u-{unit}",
                range(first, first + 36),
                [1_000 * unit * (1 + 0.3 * math.sin(month / 6 * math.pi)) * dice.lognormvariate(0, 0.05) for month in range(36)],
            )
            for unit in range(1, 9)
        ]
    )
    trained = train_forecaster(panel, seed=_SEED)
    return _candidate(
        ModelType.SPEND_FORECASTING, SPEND.to_json(), trained.artifact, trained.card, asdict(trained.metrics), trained.evaluation.to_json()
    )


def _classifier(
    kind: ModelType, schema: FeatureSchema, columns: Mapping[str, Sequence[AttributeValue | None]], labels: Sequence[bool]
) -> Candidate:
    # As of many rows: one training instead of one for each fold.
    with patch.object(boosting, "MANY_ROWS", 1):
        trained = train_classifier(schema, columns, labels, seed=_SEED, held_out=[place % 5 == 0 for place in range(len(labels))])
    return _candidate(kind, schema.to_json(), trained.artifact, trained.card, asdict(trained.metrics), trained.evaluation.to_json())


def _candidate(  # noqa: PLR0913 - what is registered
    kind: ModelType, schema: Json, content: bytes, card: Json, metrics: Json, evaluation: Json
) -> Candidate:
    return Candidate(
        type=kind,
        training_cutoff=_CUTOFF,
        metrics=metrics,
        schema=schema,
        training_rows=300,
        artifact=Artifact(content, hashlib.sha256(content).hexdigest(), card),
        evaluation=evaluation,
    )
