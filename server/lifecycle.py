"""The life of a process: when it is ready, and when it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import signal

READY_FD = "ANALYTICS_READY_FD"


def announce_ready(port: int) -> None:
    """Tell whoever started the process that it works, on the pipe that `ANALYTICS_READY_FD` names; without one, nobody."""
    descriptor = os.environ.get(READY_FD, "")
    if descriptor.isdecimal():
        with os.fdopen(int(descriptor), "w") as pipe:
            pipe.write(f"ready {port}\n")


def termination() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set.

    The handlers are installed even where SIGINT was inherited as ignored, as in the background of a script.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
