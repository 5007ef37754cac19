"""A watch whose changes are told to it costs nothing while nothing happens."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.rpc import watches

if TYPE_CHECKING:
    import pytest


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
