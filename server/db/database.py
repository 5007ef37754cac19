"""The one helper that opens transactions.

A transaction is for statements only: whoever computes or waits does it before or after. What a transaction asked to wake
is rung after the commit, so nobody is woken for something that a rollback undid.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.db.engines import DbRole, make_engine, role_url
from server.db.transaction import ReadTx, Tx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from server.identity import OrgId
    from server.settings import Settings

_SET_TENANT = text("SELECT set_config('app.org_id', :org, true)")
_PLATFORM_POOL_SIZE = 2


class Database:
    """The pools of one process."""

    def __init__(self, settings: Settings, ring: Callable[[tuple[str, ...]], Awaitable[None]]) -> None:
        """Prepare the pools; the first use connects. `ring` gets the topics of every committed transaction."""
        self._ring = ring
        self._engines = {
            role: make_engine(role_url(settings, role), pool_size=settings.db_pool_size if role is DbRole.APP else _PLATFORM_POOL_SIZE)
            for role in DbRole
        }

    @asynccontextmanager
    async def tx(self, org: OrgId) -> AsyncIterator[Tx]:
        """Open a transaction of the tenant `org`; commits at the end of the block, rolls back on any exception."""
        async with self._open(DbRole.APP, org) as connection:
            tx = Tx(connection)
            yield tx
        await self._ring_all(tx)

    @asynccontextmanager
    async def read(self, org: OrgId) -> AsyncIterator[ReadTx]:
        """Open a transaction of the tenant `org` in which nothing is written."""
        async with self._open(DbRole.APP, org) as connection:
            yield ReadTx(connection)

    @asynccontextmanager
    async def platform(self, role: DbRole = DbRole.APP) -> AsyncIterator[Tx]:
        """Open a transaction of no tenant: tenant rows are invisible but for what the role's own policies show."""
        async with self._open(role, None) as connection:
            tx = Tx(connection)
            yield tx
        await self._ring_all(tx)

    async def close(self) -> None:
        """Close all pools."""
        for engine in self._engines.values():
            await engine.dispose()

    def engine(self, role: DbRole) -> AsyncEngine:
        """Return the pool of a role, for measurements and tests."""
        return self._engines[role]

    @asynccontextmanager
    async def _open(self, role: DbRole, org: OrgId | None) -> AsyncIterator[AsyncConnection]:
        async with self._engines[role].connect() as connection, connection.begin():
            if org is not None:
                await connection.execute(_SET_TENANT, {"org": org})
            yield connection

    async def _ring_all(self, tx: Tx) -> None:
        if tx.wakes:
            await self._ring(tx.wakes)
