"""Ending a process: what must not be left half done is done, and nothing holds the end up for ever."""

from __future__ import annotations

import asyncio

import pytest

from server import lifecycle
from server.lifecycle import end, to_its_end


async def test_what_must_not_be_left_half_done_is_done_however_often_it_is_cancelled() -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), False

    async def act() -> None:
        nonlocal done
        begun.set()
        await go_on.wait()
        done = True

    task = asyncio.create_task(to_its_end(act()))
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done


async def test_what_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_TO_ITS_END_SECONDS", 0.01)
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(to_its_end(act()))
    await begun.wait()
    await end(task)
    assert task.cancelled()


async def test_an_answer_and_a_failure_pass_through() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        message = "made up"
        raise ValueError(message)

    assert await to_its_end(answer()) == 42
    with pytest.raises(ValueError, match="made up"):
        await to_its_end(fail())
