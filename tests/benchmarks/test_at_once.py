"""Releases at once, and a run that two workers have at once."""

from __future__ import annotations

import asyncio
import threading
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from server.benchmarks.publish import publish
from server.benchmarks.release import decide
from server.errors import AnalyticsError, Reason
from tests.benchmarks.contributing import contribute, release, values
from tests.support.leftovers import superuser
from workers import benchmarks

if TYPE_CHECKING:
    from uuid import UUID

    from server.benchmarks.model import Earlier, Release, Released
    from server.db import Tx
    from server.events.model import Cause
    from tests.support.databases import Cluster
    from tests.support.live import Service


async def _numbers(cluster: Cluster, service: Service) -> list[int]:
    """Return the releases that are stored; as many were told of."""
    async with superuser(cluster, service) as connection:
        stored = [row["number"] for row in await connection.fetch("SELECT number FROM benchmark_releases ORDER BY number")]
        assert await connection.fetchval("SELECT count(*) FROM shared_outbox WHERE type = 'benchmark.updated'") == len(stored)
    return stored


def _decide_together(monkeypatch: pytest.MonkeyPatch, parties: int) -> None:
    """Let the first decisions, as many as `parties`, be made only when all of those have read what they are made of."""
    together, calls = threading.Barrier(parties, timeout=20), count()

    def decided(*arguments: Any) -> Release:  # noqa: ANN401 - passed on
        if next(calls) < parties:
            together.wait()
        return decide(*arguments)

    monkeypatch.setattr(benchmarks, "decide", decided)


async def test_of_two_workers_that_have_the_same_run_one_releases_and_both_return_what_is_released(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 12))
    _decide_together(monkeypatch, 2)
    run = uuid4()
    first, second = await asyncio.gather(release(idle, run), release(idle, run))
    assert first == second
    assert await _numbers(cluster, idle) == [1]


async def test_of_releases_at_once_the_one_that_did_not_know_of_the_other_is_decided_anew(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 12))
    _decide_together(monkeypatch, 2)
    await asyncio.gather(release(idle), release(idle))
    assert await _numbers(cluster, idle) == [1, 2]


async def test_a_run_that_others_come_before_again_and_again_is_refused(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 12))
    lost = 0

    async def another_first(tx: Tx, made: Release, release_id: UUID, before: Earlier, cause: Cause) -> Released:
        nonlocal lost
        lost += 1
        await publish(tx, made, uuid4(), before, cause)
        return await publish(tx, made, release_id, before, cause)

    monkeypatch.setattr(benchmarks, "publish", another_first)
    with pytest.raises(AnalyticsError) as refused:
        await release(idle)
    assert (refused.value.reason, lost) == (Reason.CONCURRENT_UPDATE, 5)
    assert await _numbers(cluster, idle) == []
