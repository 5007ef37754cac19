"""Ending a process's tasks: none is left, also one that loses a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from server import lifecycle


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_CANCEL_AGAIN_SECONDS", 0.01)
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await lifecycle.end(task)
    assert (task.cancelled(), lost) == (True, 3)


async def test_the_failure_of_a_task_that_failed_before_is_raised() -> None:
    async def broken() -> None:
        message = "broken"
        raise LookupError(message)

    task = asyncio.create_task(broken())
    await asyncio.wait([task])
    with pytest.raises(LookupError):
        await lifecycle.end(task)


async def test_a_task_that_is_over_is_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await lifecycle.end(task)
    assert not task.cancelled()
