"""A watch whose changes are told to it costs nothing while nothing happens."""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import pytest

from server.db import Database
from server.identity import JobId, OrgId
from server.predictions.watching import WatchedJobs
from server.queue import Bell, Valkey
from server.rpc import watches
from tests.queue.simulation import add_jobs, add_model
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster

WATCHERS = 200
ORG = OrgId("watched")


@dataclass
class Thing:
    """Something that is watched."""

    revision: int


async def _looks_during_heartbeats(monkeypatch: pytest.MonkeyPatch, look_every: float) -> tuple[int, list[int | None]]:
    monkeypatch.setattr(watches, "HEARTBEAT_SECONDS", 0.01)
    thing, looks, changed = Thing(1), 0, asyncio.Event()

    async def load() -> Thing:
        nonlocal looks
        looks += 1
        return Thing(thing.revision)

    told: list[int | None] = []
    stream = watches.follow(load, lambda item: item.revision == 2, changed, asyncio.Event(), after_revision=0, look_every=look_every)
    async for item in stream:
        told.append(None if item is None else item.revision)
        if told.count(None) == 5:
            thing.revision = 2
            changed.set()
    return looks, told


async def test_a_heartbeat_costs_no_look_where_changes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, told = await _looks_during_heartbeats(monkeypatch, math.inf)
    assert (looks, told) == (2, [1, None, None, None, None, None, 2])


async def test_control_looks_of_a_watch_that_has_to_look_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, told = await _looks_during_heartbeats(monkeypatch, 0.01)
    assert looks > 5
    assert told[-1] == 2


@dataclass(frozen=True)
class Bed:
    """One queued job, and who watches it; the bell is deaf, so that only the look tells of changes."""

    watched: WatchedJobs
    admin: asyncpg.Connection
    job_id: JobId

    async def revise(self) -> None:
        """Change the job without a ring."""
        await self.admin.execute("UPDATE prediction_jobs SET revision = revision + 1")


@pytest.fixture
async def bed(cluster: Cluster, database: str) -> AsyncIterator[Bed]:
    """A job at revision 1."""
    valkey = Valkey(cluster.valkey.url, environment.VALKEY_SECONDS)
    bell = Bell(valkey)
    db = Database(environment.settings(cluster, database), bell.ring)
    await add_jobs(cluster, database, await add_model(cluster, database), [(ORG, 1)])
    admin = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    yield Bed(WatchedJobs(db, bell), admin, JobId(await admin.fetchval("SELECT job_id FROM prediction_jobs")))
    await admin.close()
    await db.close()
    await valkey.close()


@pytest.mark.parametrize("known", [True, False])
async def test_a_look_wakes_no_watcher_that_has_seen_the_revision_and_control_who_does_not_say_so_is_woken(
    bed: Bed, *, known: bool
) -> None:
    with ExitStack() as stack:
        watchers = [stack.enter_context(bed.watched.watching(ORG, bed.job_id)) for _ in range(WATCHERS)]
        for watcher in watchers if known else ():
            watcher.saw(1)
        for _ in range(3):
            await bed.watched._look()
        assert sum(watcher.is_set() for watcher in watchers) == (0 if known else WATCHERS)


async def test_a_change_that_nobody_heard_is_told_by_the_next_look_also_when_it_came_before_the_first(bed: Bed) -> None:
    with bed.watched.watching(ORG, bed.job_id) as first, bed.watched.watching(ORG, bed.job_id) as second:
        first.saw(1)
        await bed.revise()
        second.saw(2)
        await bed.watched._look()
        assert (first.is_set(), second.is_set()) == (True, False)
        first.clear()
        await bed.revise()
        await bed.watched._look()
        assert (first.is_set(), second.is_set()) == (True, True)


async def test_that_a_job_is_gone_is_told_once(bed: Bed) -> None:
    with bed.watched.watching(ORG, bed.job_id) as watcher:
        watcher.saw(1)
        await bed.admin.execute("DELETE FROM prediction_jobs")
        await bed.watched._look()
        assert watcher.is_set()
        watcher.clear()
        await bed.watched._look()
        assert not watcher.is_set()
    assert not bed.watched._watchers


async def test_a_watch_says_what_it_has_seen_and_looks_again_only_when_it_is_told(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "HEARTBEAT_SECONDS", 0.01)
    looks = 0

    async def load() -> Thing:
        nonlocal looks
        looks += 1
        return Thing(await bed.admin.fetchval("SELECT revision FROM prediction_jobs"))

    told: list[int | None] = []
    with bed.watched.watching(ORG, bed.job_id) as changed:
        async for item in watches.follow(load, lambda item: item.revision == 2, changed, asyncio.Event(), after_revision=0):
            told.append(None if item is None else item.revision)
            await bed.watched._look()
            if told.count(None) == 5:
                await bed.revise()
                await bed.watched._look()
    assert (looks, told) == (2, [1, None, None, None, None, None, 2])
