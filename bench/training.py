"""The weekly retraining of all four model types from what is stored, beside the bare `xgboost.train` calls of as many trees.

Ours is the job as a worker runs it: reading the pooled rows, encoding, choosing a shape, training, calibrating, metrics, and judging
beside the active version of the run before. The bare calls get ready matrices that are not sorted into bins yet, which
`xgboost.train` does: all the rows, the same parameters, as many rounds, on as many threads, and nothing of what says how good
the trees are. Ours holds a fifth of the rows back to judge versions by; the note tells what the ratio is beside bare calls that do
without that fifth too.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import numpy as np
import xgboost
from sqlalchemy import Boolean, Double, Integer, Text

from bench.measure import Row
from server import app as composition
from server.db.engines import DbRole
from server.facts import tables
from server.identity import RunId
from server.ml import boosting
from server.ml.card import Card
from server.ml.encoding import table
from server.registry import store as registry
from server.registry.model import ModelType
from server.schedule.model import Claim
from workers.retraining import retrain_all
from workers.strategies import STRATEGIES
from workers.strategies.classifying import SEED, Classifying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from sqlalchemy import Table

    from bench.context import Service
    from server.app import App
    from server.ml.encoding import Matrix
    from server.ml.series import Values
    from server.ml.training import Flags

ROWS = 200_000
FEWEST = 30_000
"""Fewer rows are cross-validated, which is another measure."""
TARGET = 2.0
ORGS = 100
MONTHS = 60
_NAME = "training"

_VALUES = {
    Text: "'value ' || floor(random() * 8)",
    Boolean: "random() < 0.3",
    Integer: "1 + floor(random() * 5)::int",
    Double: "random() * 100",
}
# Effects of their own, and one that only trees with two splits see.
_LOGIT = "-2.2 + 0.4 * ({whole} - 3) + 1.2 * {flag}::int + 0.03 * (({number} - 50) * CASE WHEN {flag} THEN 1 ELSE -1 END)"


async def training(service: Service) -> list[Row]:
    """Retrain twice, so that the second is judged beside an active version; it counts."""
    rows = max(service.some(ROWS), FEWEST)
    async with _filled(service, rows) as app:
        await _retrain(app)
        shares: dict[str, float] = {}
        with _recorded() as calls:
            ours = await _retrain(app, shares)
        bare: dict[ModelType, tuple[float, float]] = {
            kind: await _bare(app, kind) for kind in ModelType if kind is not ModelType.SPEND_FORECASTING
        }
    parameters, data, rounds = calls[-1]
    # Of so many months as many pairs of two are learned from, of which none is held back.
    seconds = _seconds(lambda: xgboost.train(parameters, data, rounds))
    bare[ModelType.SPEND_FORECASTING] = seconds, seconds
    whole, part = (sum(each[place] for each in bare.values()) for place in (0, 1))
    each = ", ".join(f"{kind} {shares[kind]:.1f} to {bare[kind][0]:.1f} s" for kind in ModelType)
    return [
        Row(
            f"retraining of four types, {rows:,} rows each",
            f"{ours:.1f} s",
            f"xgboost.train {whole:.1f} s",
            ours / whole,
            None,
            f"<= {TARGET:g}x",
            ours / whole <= TARGET,
            f"{each}; without the rows held back {part:.1f} s, {ours / part:.2f}x",
        )
    ]


async def _retrain(app: App, shares: dict[str, float] | None = None) -> float:
    """Return the seconds of the job; `shares` gets those of each type."""
    starts: dict[str, float] = {}

    def progress(_share: float, words: str) -> None:
        starts.setdefault(words.split(":", 1)[0], time.perf_counter())

    result = await retrain_all(app, Claim(RunId(uuid4()), "weekly_retraining", "", uuid4(), ""), progress)
    times = [*starts.values(), time.perf_counter()]
    types = result["types"]
    assert isinstance(types, list)
    assert all(each["activated"] for each in types), types
    if shares is not None:
        shares.update(zip(starts, np.diff(times).tolist(), strict=True))
    return times[-1] - times[0]


async def _bare(app: App, kind: ModelType) -> tuple[float, float]:
    """Return the seconds of as many trees of the same shape on all rows, and on those that are not held back."""
    async with app.db.platform(DbRole.TRAINER) as tx:
        model = await registry.active(tx, kind)
        assert model is not None
        artifact = await registry.artifact(tx, model.model_id)
        read = await STRATEGIES[kind](tx)
    course = read()
    assert artifact is not None
    assert isinstance(course, Classifying)
    card = Card.from_json(artifact.card)
    matrix = card.encoder.transform(table(card.schema, course.pooled.columns))
    shape = next(shape for shape in boosting.LARGE_SHAPES if shape.name == card.settings["shape"])
    parameters = boosting.parameters(shape, SEED, 1)

    def seconds(rows: Flags) -> float:
        data = xgboost.DMatrix(matrix[rows], course.pooled.labels[rows], nthread=1)
        return _seconds(lambda: xgboost.train(parameters, data, int(card.settings["rounds"])))

    return seconds(np.full(len(matrix), fill_value=True)), seconds(~course.pooled.held_out)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _recorded() -> Iterator[list[tuple[dict[str, object], xgboost.DMatrix, int]]]:
    """Keep what `xgboost.train` was called with last, the final training of the forecasts, its rows as a plain matrix."""
    calls: list[tuple[dict[str, object], xgboost.DMatrix, int]] = []
    asked: list[tuple[dict[str, object], Matrix, Values, int]] = []
    rows: list[tuple[Matrix, Values]] = []
    train, made = xgboost.train, xgboost.QuantileDMatrix

    def making(matrix: Matrix, target: Values, **options: Any) -> xgboost.QuantileDMatrix:  # noqa: ANN401 - passed on
        rows[:] = [(matrix, target)]
        return made(matrix, target, **options)

    def recording(parameters: dict[str, object], data: xgboost.DMatrix, rounds: int, **options: Any) -> xgboost.Booster:  # noqa: ANN401
        # Of now: what is trained next, of another type, goes another way and leaves rows of its own.
        asked[:] = [(parameters, *rows[-1], rounds)]
        return train(parameters, data, rounds, **options)

    with patch.multiple(xgboost, train=recording, QuantileDMatrix=making):
        yield calls
    parameters, matrix, target, rounds = asked[-1]
    calls.append((parameters, xgboost.DMatrix(matrix, target, nthread=1), rounds))


@asynccontextmanager
async def _filled(service: Service, rows: int) -> AsyncIterator[App]:
    """Make a database with so many labelled rows for each type."""
    made = service.made
    await made.prepare(_NAME)
    admin = await asyncpg.connect(made.postgres.admin_url, database=_NAME)
    try:
        await admin.execute("SELECT setseed(0.5)")
        for statement in (_employees(rows), _contracts(rows), _reviews(rows), _spend(rows)):
            await admin.execute(statement)
        await admin.execute("VACUUM ANALYZE")
        # One type at a time, as the bare calls.
        async with composition.running(made.settings(_NAME).model_copy(update={"training_at_once": 1})) as app:
            yield app
    finally:
        await admin.close()
        await made.drop(_NAME)


def _insert(to: Table, known: Mapping[str, str], names: Mapping[str, str], rows: int) -> str:
    """Return a statement that makes rows: `known` columns by their expression over `n`, `names` of the label's columns."""
    made = [column.name for column in to.c if column.name not in known]
    drawn = ", ".join(f"CASE WHEN random() < 0.9 THEN {_VALUES[type(to.c[name].type)]} END AS {name}" for name in made)
    columns = ", ".join([*known, *made])
    logit = _LOGIT.format(
        **{part: f"coalesce({name}, {empty})" for (part, name), empty in zip(names.items(), ("3", "false", "50"), strict=True)}
    )
    values = ", ".join(expression.format(wrong=f"random() < 1 / (1 + exp(-({logit})))") for expression in known.values())
    return (
        f"INSERT INTO {to.name} ({columns}) SELECT {values}, {', '.join(made)} FROM (SELECT n, {drawn} FROM generate_series(1, {rows}) n) m"  # noqa: S608 - names of our own tables
    )


def _employees(rows: int) -> str:
    known = {
        "org_id": f"'org-' || n % {ORGS}",
        "employee_key": "'e-' || n",
        "as_of": "date '2025-01-31' + (n % 300)",
        "left_within_year": "{wrong}",
        "updated_at": "now()",
    }
    return _insert(tables.employees, known, {"whole": "job_satisfaction", "flag": "over_time", "number": "years_at_company"}, rows)


def _contracts(rows: int) -> str:
    known = {
        "org_id": f"'org-' || n % {ORGS}",
        "contract_key": "'c-' || n",
        "counterparty_key": f"'p-' || n % {rows // 10}",
        "value": "round((1000 * random())::numeric, 2)",
        "currency": "'EUR'",
        "start_date": "date '2020-01-01' + (n % 2000)",
        "end_date": "date '2026-06-30'",
        "status": "'ended'",
        "outcome": "CASE WHEN {wrong} THEN 'terminated' ELSE 'renewed' END",
        "outcome_date": "date '2026-06-30'",
        "updated_at": "now()",
    }
    return _insert(tables.contracts, known, {"whole": "late_payments", "flag": "competed", "number": "monthly_value"}, rows)


def _reviews(rows: int) -> str:
    """Four reviews of every fourth employee."""
    known = {
        "org_id": f"'org-' || (n / 4 * 4) % {ORGS}",
        "employee_key": "'e-' || n / 4 * 4",
        "review_date": "date '2025-12-31' + n % 4 * 60",
        "team": "'team ' || n % 50",
        "score": "CASE WHEN {wrong} THEN 60 ELSE 80 END",
        "target": "70",
        "scale_max": "100",
        "updated_at": "now()",
    }
    return _insert(tables.performance_reviews, known, {"whole": "idle_people", "flag": "(changes > 3)", "number": "idle_minutes"}, rows)


def _spend(rows: int) -> str:
    return f"""
        INSERT INTO spend_entries (org_id, unit, category, period, amount, budget, currency, updated_at)
        SELECT 'org-' || unit % {ORGS}, 'u-' || unit, 'rent', (date '2021-01-01' + make_interval(months => month))::date,
               round((exp(8 + unit % 7) * (1 + 0.4 * sin(pi() * (month + unit) / 6) + 0.3 * (random() + random() - 1)))::numeric, 2),
               NULL, 'EUR', now()
        FROM generate_series(1, {rows // MONTHS}) unit, generate_series(0, {MONTHS - 1}) month
        """  # noqa: S608 - numbers
