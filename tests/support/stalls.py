"""Upper bounds on the wall clock that tell of the product, on machines that now and then stand still."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Result = TypeVar("Result")

TICK_SECONDS = 0.01
STILL_SECONDS = 0.1
"""A thread that wants to run every `TICK_SECONDS` and could not for so long was kept from it by the machine."""
MOST_ATTEMPTS = 30


class Stalls:
    """What a thread that does nothing but look at the clock saw."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="stalls", daemon=True)

    @contextmanager
    def watched(self) -> Iterator[Stalls]:
        """Look until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()

    def _look(self) -> None:
        before, over = time.monotonic(), False
        while not over:
            # A look more after the end: the machine may have stood still right before it.
            over = self._over.wait(TICK_SECONDS)
            now = time.monotonic()
            self.longest = max(self.longest, now - before - TICK_SECONDS)
            before = now


async def undisturbed(measured: Callable[[], Awaitable[Result]]) -> Result:
    """Return what came of a measurement during which the machine did not stand still; one during which it did is repeated."""
    attempts = 0
    while True:
        attempts += 1
        with Stalls().watched() as stalls:
            result = await measured()
        if stalls.longest < STILL_SECONDS or attempts == MOST_ATTEMPTS:
            return result
