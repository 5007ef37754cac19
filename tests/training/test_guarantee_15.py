"""Guarantee 15: exactly one active version per model type, seen by a concurrent reader, while versions are swapped again and again."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from server.db.engines import DbRole
from server.identity import OrgId, RunId
from server.lifecycle import end
from server.registry import store as registry
from server.registry.model import ModelState, ModelType
from server.registry.tables import shared_models
from server.schedule.model import Claim
from tests.support import told
from tests.support.leftovers import superuser
from workers import judging
from workers.retraining import retrain_all
from workers.training import train_type

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from server.app import App
    from server.db import Tx
    from server.identity import ModelId
    from server.registry.model import Evidence, Model
    from tests.support.databases import Cluster
    from tests.support.live import Service

SWAPS = 50
"""At least, of all types together."""
LANES = 4
"""Retrainings at the same time; the schedule starts one."""
RUNS = 7
"""Of each lane; two of three candidates are better than the active version, when they are alone."""

ALL_TYPES = Counter(dict.fromkeys(ModelType, 1))


@dataclass
class Reader:
    """Reads which versions are active, on and on, as requests and lists do."""

    app: App
    reads: int = 0
    wrong: list[object] = field(default_factory=list)
    _read: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            async with self.app.read(OrgId("reader")) as tx:
                listed = Counter(model.type for model in await registry.page(tx, None, ModelState.ACTIVE, None, 100))
                lacking = [kind for kind in ModelType if await registry.active(tx, kind) is None]
            if listed != ALL_TYPES or lacking:
                self.wrong.append((listed - ALL_TYPES, ALL_TYPES - listed, lacking))
            self.reads += 1
            async with self._read:
                self._read.notify_all()

    async def another(self) -> None:
        """Wait for a read that began after this call."""
        wanted = self.reads + 2
        async with self._read:
            await self._read.wait_for(lambda: self.reads >= wanted)


@asynccontextmanager
async def reading(app: App) -> AsyncIterator[Reader]:
    """Read beside what is tested."""
    reader = Reader(app)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
        await reader.another()
    finally:
        await end(task)


async def retrain(app: App, times: int = 1) -> None:
    """Run the weekly retraining, each run anew."""
    for _ in range(times):
        await retrain_all(app, Claim(RunId(uuid4()), "weekly_retraining", "all", uuid4(), ""), lambda _share, _words: None)


async def versions(app: App) -> Sequence[Model]:
    """Return all versions, the oldest first."""
    async with app.db.platform(DbRole.TRAINER) as tx:
        return (await registry.page(tx, None, None, None, 10_000))[::-1]


def wrong_turns(models: Sequence[Model]) -> list[str]:
    """Find versions that became active without having been compared with the one they replaced, or though they were worse."""
    found: list[str] = []
    for kind in ModelType:
        own = [model for model in models if model.type is kind]
        was_active = sorted((model for model in own if model.activated_at), key=lambda model: str(model.activated_at))
        for before, model in zip([None, *was_active], was_active, strict=False):
            evidence = model.evidence
            assert evidence is not None
            if evidence.active_id != ("" if before is None else str(before.model_id)):
                found.append(f"{kind} {model.version}: compared with {evidence.active_version or 'none'}, took the place of another")
            if evidence.active is not None and evidence.candidate > evidence.active:
                found.append(f"{kind} {model.version}: worse and active")
        found += [f"{kind} {model.version}: left {model.state}" for model in own if model.state is ModelState.TRAINING]
        found += [
            f"{kind} {model.version}: failed without a reason"
            for model in own
            if model.state is ModelState.FAILED and not model.failure_reason
        ]
    return found


async def test_guarantee_15_exactly_one_version_of_each_type_is_active_at_every_read(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.instead_of_training(monkeypatch)
    # One that others overtake again and again gives up in the end; here nobody may be overtaken more often than others activate.
    monkeypatch.setattr(judging, "_COMPARISONS", LANES * RUNS + 1)
    await retrain(idle.app)
    async with reading(idle.app) as reader:
        await asyncio.gather(*(retrain(idle.app, RUNS) for _ in range(LANES)))
    models = await versions(idle.app)
    swaps = Counter(model.type for model in models if model.activated_at is not None)
    states = Counter(model.state for model in models)
    print(f"guarantee 15: {dict(swaps)} swaps of {len(models)} versions, {reader.reads} reads, {len(reader.wrong)} wrong")
    assert reader.wrong == []
    assert wrong_turns(models) == []
    assert swaps.total() > SWAPS
    assert min(swaps.values()) > SWAPS // len(ModelType)
    assert states[ModelState.ACTIVE] == len(ModelType)
    assert states[ModelState.FAILED] > 0
    assert reader.reads > SWAPS
    for kind in ModelType:
        assert [model.version for model in models if model.type is kind] == [f"1.{number}.0" for number in range(LANES * RUNS + 1)]


async def test_guarantee_15_control_a_swap_of_two_transactions_is_seen(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.instead_of_training(monkeypatch)
    await retrain(idle.app)

    async def torn(reader: Reader, tx: Tx, model_type: ModelType, model_id: ModelId, instead_of: ModelId | None) -> bool:
        async with superuser(cluster, idle) as connection:
            await connection.execute("UPDATE shared_models SET state = 'DEPRECATED' WHERE model_id = $1", instead_of)
        await reader.another()
        return await swap(tx, model_type, model_id, None)

    swap = registry.swap_active
    async with reading(idle.app) as reader:
        monkeypatch.setattr(registry, "swap_active", partial(torn, reader))
        await train_type(idle.app, ModelType.CONTRACT_RISK, uuid4(), lambda _share, _words: None)
    assert reader.wrong
    assert wrong_turns(await versions(idle.app)) == []


async def test_guarantee_15_control_without_the_index_and_the_swap_a_second_active_version_is_seen(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.instead_of_training(monkeypatch)
    await retrain(idle.app)

    async def added(tx: Tx, _model_type: ModelType, model_id: ModelId, _instead_of: ModelId | None) -> bool:
        return bool(await tx.run(update(shared_models).where(shared_models.c.model_id == model_id).values(state=ModelState.ACTIVE)))

    monkeypatch.setattr(registry, "swap_active", added)
    async with superuser(cluster, idle) as connection, reading(idle.app) as reader:
        with pytest.raises(DBAPIError, match="UniqueViolationError"):
            await retrain(idle.app)
        assert reader.wrong == []
        await connection.execute("DROP INDEX uq_shared_models_active")
        await retrain(idle.app)
    assert reader.wrong


def _together(both: threading.Barrier) -> Callable[[], None]:
    """Let nobody go on before the other one is there too."""

    def meanwhile() -> None:
        both.wait(30)

    return meanwhile


async def test_guarantee_15_control_a_comparison_that_is_not_made_again_is_found(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two retrainings that compare with the same version: the second to end takes the place of one that it was not compared with."""
    trainings = told.instead_of_training(monkeypatch)
    await retrain(idle.app)
    for training in trainings.values():
        training.meanwhile = _together(threading.Barrier(2))

    async def unchecked(tx: Tx, model: Model, evidence: Evidence, _reason: str) -> bool:
        current = await registry.active(tx, model.type)
        await registry.prove(tx, model.model_id, evidence)
        return await registry.swap_active(tx, model.type, model.model_id, None if current is None else current.model_id)

    monkeypatch.setattr(judging, "_end", unchecked)
    await asyncio.gather(retrain(idle.app), retrain(idle.app))
    assert any("took the place of another" in turn for turn in wrong_turns(await versions(idle.app)))
