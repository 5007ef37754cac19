"""Wait for something inside this process that rings no bell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once the condition holds, letting everything else run meanwhile."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no event
            await asyncio.sleep(0)


async def until_so(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Return once a condition that has to be asked for holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
