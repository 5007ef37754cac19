"""The one helper that opens transactions.

A transaction is for statements only: whoever computes or waits does it before or after. What a transaction asked to wake
is rung after the commit, so nobody is woken for something that a rollback undid. A connection whose
transaction did not end as it should is closed, never used again.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from server.db.engines import DbRole, role_url
from server.db.pool import Pool
from server.db.statements import DIALECT, fetch, translated
from server.db.tenant import TENANT
from server.db.transaction import ReadTx, Tx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    import asyncpg
    from sqlalchemy import Executable, TextClause

    from server.db.transaction import Parameters, Record
    from server.identity import OrgId
    from server.settings import Settings

_SET_TENANT = text("SELECT set_config('app.org_id', :org, true)")
_TRAINER_POOL_SIZE = 2
_BENCHMARK_POOL_SIZE = 2
_RELAY_POOL_SIZE = 2
_ROLLBACK_SECONDS = 1.0


class Database:
    """The pools of one process."""

    def __init__(self, settings: Settings, ring: Callable[[tuple[str, ...]], Awaitable[None]]) -> None:
        """Prepare the pools; the first use connects. `ring` gets the topics of every committed transaction."""
        self._ring = ring
        self._pools = {
            DbRole.APP: Pool(role_url(settings, DbRole.APP), settings.db_pool_size),
            DbRole.DISPATCH: Pool(role_url(settings, DbRole.DISPATCH), settings.db_pool_size),
            # It reads the pooled rows of all organizations in one statement.
            DbRole.TRAINER: Pool(role_url(settings, DbRole.TRAINER), _TRAINER_POOL_SIZE, statement_seconds=None),
            # It reads the values of all organizations in one statement.
            DbRole.BENCHMARK: Pool(role_url(settings, DbRole.BENCHMARK), _BENCHMARK_POOL_SIZE, statement_seconds=None),
            # The relay, and the look at what it published.
            DbRole.RELAY: Pool(role_url(settings, DbRole.RELAY), _RELAY_POOL_SIZE),
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

    async def at_once(self, org: OrgId, statement: Executable, parameters: Parameters, *wake: str) -> Sequence[Record]:
        """Run a statement that sets its tenant itself (`server.db.tenant`) as a transaction of its own, in one round trip.

        The topics `wake` are rung afterwards if the statement returned a row.
        """
        pool = self._pools[DbRole.APP]
        connection = await pool.take()
        try:
            rows = await fetch(connection, statement, {**parameters, TENANT: org})
        finally:
            pool.give_back(connection)
        if wake and rows:
            await self._ring(wake)
        return rows

    async def close(self) -> None:
        """Close all pools."""
        for pool in self._pools.values():
            await pool.close()

    def taken(self, role: DbRole) -> int:
        """Return how many connections of a role are in use."""
        return self._pools[role].taken

    @asynccontextmanager
    async def _open(self, role: DbRole, org: OrgId | None) -> AsyncIterator[asyncpg.Connection]:
        pool = self._pools[role]
        connection = await pool.take()
        try:
            with translated("BEGIN", connection):
                # By the simple protocol, which takes several statements in one round trip and therefore no parameters.
                await connection.execute("BEGIN" if org is None else _beginning(_SET_TENANT, org))
            yield connection
            with translated("COMMIT", connection):
                ended = await connection.execute("COMMIT")
        except BaseException:
            await _roll_back(connection)
            raise
        finally:
            pool.give_back(connection)
        if ended != "COMMIT":
            msg = "a statement of the transaction failed and was passed over: everything was rolled back"
            raise InvalidRequestError(msg)

    async def _ring_all(self, tx: Tx) -> None:
        if tx.wakes:
            await self._ring(tx.wakes)


async def _roll_back(connection: asyncpg.Connection) -> None:
    """End a failed transaction; when that is interrupted or fails too, the session ends with it."""
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(_ROLLBACK_SECONDS):
            await connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - what failed first is on its way to the caller and says more
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise


@lru_cache(maxsize=10_000)
def _beginning(set_tenant: TextClause, org: OrgId) -> str:
    """Return what begins a tenant's transaction, with the organization quoted as a literal."""
    return f"BEGIN; {set_tenant.bindparams(org=org).compile(dialect=DIALECT, compile_kwargs={'literal_binds': True})}"
