"""Virtual time: the database's one clock, set by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from datetime import datetime

    from tests.support.databases import Cluster

_INSTALL = """
CREATE TABLE test_clock (at timestamptz NOT NULL);
INSERT INTO test_clock VALUES (clock_timestamp());
GRANT SELECT ON test_clock TO PUBLIC;
CREATE OR REPLACE FUNCTION analytics_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM test_clock';
"""


class VirtualClock:
    """Stands still until it is advanced; every process of the database sees it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Use an open connection of the owner."""
        self._connection = connection

    @classmethod
    async def install(cls, cluster: Cluster, database: str) -> VirtualClock:
        """Replace the clock of a test's database."""
        connection = await asyncpg.connect(cluster.owner_url(database))
        await connection.execute(_INSTALL)
        return cls(connection)

    async def advance(self, seconds: float) -> datetime:
        """Let time pass; returns the new instant."""
        at: datetime = await self._connection.fetchval("UPDATE test_clock SET at = at + $1 * interval '1 second' RETURNING at", seconds)
        return at

    async def close(self) -> None:
        """Close the connection; the database goes with its test."""
        await self._connection.close()
