"""A TCP proxy in front of a server, with a plug to pull: cut, black hole, delay."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_CHUNK = 1 << 16


class FaultyProxy:
    """Passes bytes from a port of its own to a Unix socket, as long as it is told to."""

    def __init__(self, upstream: Path) -> None:
        """Nothing listens yet; see `proxied`."""
        self.port = 0
        self.delay = 0.0
        self._upstream = upstream
        self._refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    def swallow(self) -> None:
        """Take everything and pass nothing on, as a network does that lost its way: nobody is told."""
        self._flowing.clear()

    def mend(self) -> None:
        """Be a good proxy again; what was swallowed arrives late."""
        self._refusing = False
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._refusing:
            writer.transport.abort()
            return
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(self._upstream))
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, upstream_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, upstream_writer))
                both.create_task(self._pass_on(upstream_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._flowing.wait()
            if self.delay:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), self.delay)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def proxied(upstream: Path) -> AsyncIterator[FaultyProxy]:
    """Run a proxy in front of a Unix socket."""
    proxy = FaultyProxy(upstream)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.mend()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
