"""Wait for something that rings no bell. Only here does anything of the tests sleep, between one look and the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Whoever looks again and again without a rest takes the processor from what is waited for.
_BETWEEN_LOOKS_SECONDS = 0.002
_BETWEEN_QUESTIONS_SECONDS = 0.02


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once a condition of this process holds, letting everything else run meanwhile."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no event
            await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)


async def until_so(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Return once a condition that has to be asked for holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(_BETWEEN_QUESTIONS_SECONDS)
