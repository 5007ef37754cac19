"""What a transaction offers: statements, and wake-ups that leave only after the commit.

`ReadTx` and `Tx` are different types so that a signature says whether a function may write. Neither can commit: that is
the helper's part in `server.db.database`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.exc import MultipleResultsFound, NoResultFound

from server.db import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg
    from sqlalchemy import Executable

    # Under these names for the stores.
    Record: TypeAlias = statements.Record
    Parameters: TypeAlias = statements.Parameters


class ReadTx:
    """A transaction in which nothing is written."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Wrap an open transaction."""
        self._connection = connection

    async def one(self, statement: Executable, parameters: Parameters | None = None) -> Record:
        """Return the single row of the result; anything but one row is a programming error."""
        rows = await self.all(statement, parameters)
        if len(rows) != 1:
            raise MultipleResultsFound if rows else NoResultFound
        return rows[0]

    async def first(self, statement: Executable, parameters: Parameters | None = None) -> Record | None:
        """Return the first row, or None."""
        rows = await self.all(statement, parameters)
        return rows[0] if rows else None

    async def all(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Record]:
        """Return all rows."""
        return await statements.fetch(self._connection, statement, parameters)


class Tx(ReadTx):
    """A transaction that may write."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Wrap an open transaction."""
        super().__init__(connection)
        self._wakes: dict[str, None] = {}

    async def run(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Execute a statement and return how many rows it changed."""
        return await statements.execute(self._connection, statement, parameters)

    def wake(self, topic: str) -> None:
        """Ring `topic` once the transaction has committed; a rollback forgets it."""
        self._wakes[topic] = None

    @property
    def wakes(self) -> tuple[str, ...]:
        """Topics to ring after the commit."""
        return tuple(self._wakes)
