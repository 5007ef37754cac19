"""Connections of one role: at most so many, made when they are needed, the last one returned handed out first.

What always holds: a connection is in one pair of hands at a time; one that was closed, or that somebody left in a
transaction, is never handed out again. A pool of SQLAlchemy would do the same through two greenlets per use, whose stacks
the system maps and unmaps each time: a tenth of what our shortest calls cost.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.db.statements import DIALECT, translated

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

CONNECT_TIMEOUT_SECONDS = 5.0
POOL_WAIT_SECONDS = 5.0
CLOSE_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
_SESSION = {
    # Our statements are short, and compiling one costs more than running it.
    "jit": "off",
    "timezone": "UTC",
    # A process that stands still, or whose machine is gone, must not keep what its transaction has locked.
    "idle_in_transaction_session_timeout": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Pool:
    """Connects lazily; a connection that the database closed is replaced before it is used."""

    def __init__(self, url: URL, size: int, statement_seconds: float | None = STATEMENT_SECONDS) -> None:
        """Allow at most `size` connections to `url`, whose user is the role; statements take as long as they take when that is None."""
        self._statement_seconds = statement_seconds
        self._arguments: dict[str, Any] = DIALECT.create_connect_args(url)[1]  # type: ignore[no-untyped-call]  # has no annotations
        self._free = asyncio.Semaphore(size)
        self._idle: list[asyncpg.Connection] = []
        self._closed = False
        self.taken = 0
        """How many connections are in use."""

    async def take(self) -> asyncpg.Connection:
        """Return a connection, to be given back by `give_back`.

        Raises:
            PoolTimeout: all were in use for `POOL_WAIT_SECONDS`.
            DBAPIError, OSError: the database did not let us in, or did not answer.

        """
        await self._wait_for_turn()
        self.taken += 1
        try:
            return self._open_one() or await self._connect()
        except BaseException:
            self._leave()
            raise

    def give_back(self, connection: asyncpg.Connection) -> None:
        """Keep a connection for the next; one that is closed or in a transaction ends here."""
        if connection.is_closed() or connection.is_in_transaction() or self._closed:
            connection.terminate()
        else:
            self._idle.append(connection)
        self._leave()

    async def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._closed = True
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.close(timeout=CLOSE_SECONDS)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                connection.terminate()

    async def _wait_for_turn(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(POOL_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            msg = f"all connections were in use for {POOL_WAIT_SECONDS:.0f} s"
            raise PoolTimeout(msg) from None

    def _leave(self) -> None:
        self.taken -= 1
        self._free.release()

    def _open_one(self) -> asyncpg.Connection | None:
        """Return an idle connection; the event loop has heard by now of those that a restart of PostgreSQL ended."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> asyncpg.Connection:
        """Connect; a statement without an answer after `STATEMENT_SECONDS` fails."""
        with translated("CONNECT"):
            connection: asyncpg.Connection = await asyncpg.connect(
                **self._arguments, timeout=CONNECT_TIMEOUT_SECONDS, command_timeout=self._statement_seconds, server_settings=_SESSION
            )
            try:
                # Statements are compiled by SQLAlchemy, which writes JSON itself, but rows come from the driver.
                await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)
            except BaseException:
                connection.terminate()
                raise
        return connection
