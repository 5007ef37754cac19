"""The life of a process: when it is ready, and when it is asked to stop."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

READY_FD = "ANALYTICS_READY_FD"
_CANCEL_AGAIN_SECONDS = 1.0
_TO_ITS_END_SECONDS = 5.0
_Result = TypeVar("_Result")


def announce_ready(port: int) -> None:
    """Tell whoever started the process that it works, on the pipe that `ANALYTICS_READY_FD` names; without one, nobody."""
    descriptor = os.environ.get(READY_FD, "")
    if descriptor.isdecimal():
        with os.fdopen(int(descriptor), "w") as pipe:
            pipe.write(f"ready {port}\n")


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks until all have ended; the failure of one that failed before is raised.

    Once is not enough: `asyncio.wait_for` of Python 3.11, by which the Valkey client sends, loses a cancellation that
    comes as it succeeds, and the task would go on for ever.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def to_its_end(act: Coroutine[object, object, _Result]) -> _Result:
    """Do something that must not be left half done: a cancellation is raised when it is over, at the latest after some seconds."""
    task = asyncio.ensure_future(act)
    clock = asyncio.get_running_loop().time
    until, cancellation = math.inf, None
    while not task.done() and (left := until - clock()) > 0:
        try:
            await asyncio.wait([task], timeout=None if left == math.inf else left)
        except asyncio.CancelledError as error:
            until, cancellation = min(until, clock() + _TO_ITS_END_SECONDS), error
    if cancellation is None:
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    raise cancellation


def termination() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set.

    The handlers are installed even where SIGINT was inherited as ignored, as in the background of a script.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
