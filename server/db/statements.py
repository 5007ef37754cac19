"""Core statements in the driver's form, run on the driver's own connection.

SQLAlchemy compiles and checks parameters; its execution layer and its rows are left out, because they cost several times
what the statement itself does. What always holds here: a failure of the database leaves as a SQLAlchemy error, never
with the parameters in its text.
"""

from __future__ import annotations

from contextlib import contextmanager
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi, PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Executable, FromClause, Table
    from sqlalchemy.dialects.postgresql import Insert
    from sqlalchemy.sql.compiler import SQLCompiler

    # What a parameter holds is known only to the store that wrote the statement.
    Parameters: TypeAlias = Mapping[str, Any]
    Writer: TypeAlias = Callable[[Any], Any]

# PostgreSQL's JSON has no infinity and no NaN: such a value is a ValueError of who gives it, and nothing is sent.
DIALECT = PGDialect_asyncpg(json_serializer=JSONEncoder(allow_nan=False).encode)  # type: ignore[no-untyped-call]  # its constructor has no annotations
_NO_PARAMETERS: Parameters = {}
_NO_RIGHTS = "42501"
_DATA = "22"


class Record(asyncpg.Record):
    """A row, whose columns are its attributes too."""

    __slots__ = ()

    def __getattr__(self, column: str) -> Any:  # noqa: ANN401 - only the statement knows what a column holds
        """Return the value of a column."""
        try:
            return self[column]
        except KeyError:
            raise AttributeError(column) from None


def given(table: Table, **parameters: str) -> dict[str, ColumnElement[Any]]:
    """Return values of a row of `table` that come as parameters: `column="parameter"`, of the column's type wherever they stand."""
    return {column: bindparam(name, type_=table.c[column].type) for column, name in parameters.items()}


def insert_from(table: Table, values: Mapping[str, ColumnElement[Any]], rows: FromClause) -> Insert:
    """Return an insert of one row for each of `rows`, whose column `org_id` says whose it is."""
    content = {**values, "org_id": rows.c.org_id}
    return insert(table).from_select(list(content), select(*content.values()).select_from(rows))


class _Compilable(Protocol):
    """What every statement of Core can do."""

    def compile(self, *, dialect: object, compile_kwargs: Mapping[str, object]) -> SQLCompiler: ...


class Statement:
    """A compiled statement."""

    __slots__ = ("_parameters", "sql")

    def __init__(self, statement: Executable) -> None:
        """Compile; values that the statement holds itself become defaults of its parameters."""
        compilable: _Compilable = statement  # type: ignore[assignment]  # every executable of Core is one
        compiled = compilable.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
        values = compiled.params
        self.sql = str(compiled)
        self._parameters: list[tuple[str, bool, Any, Writer | None]] = []
        for name in compiled.positiontup or ():
            # A list that was written out has parameters of its own, already in the driver's form.
            bound = compiled.binds.get(name)
            writer = None if bound is None else bound.type.dialect_impl(DIALECT).bind_processor(DIALECT)
            self._parameters.append((name, bound is not None and bound.required, values[name], writer))

    def arguments(self, parameters: Parameters) -> list[Any]:
        """Return what the driver is given, in order; a missing parameter is a programming error (KeyError)."""
        made = []
        for name, required, default, writer in self._parameters:
            value = parameters[name] if required else parameters.get(name, default)
            made.append(value if writer is None else writer(value))
        return made


def ready_made(statement: Executable) -> Statement:
    """Return the compiled form; one that stays, a module's constant with `bindparam`s for values, is compiled once."""
    known = _compiled.get(statement)
    if known is None:
        known = _compiled[statement] = Statement(statement)
    return known


async def fetch(connection: asyncpg.Connection, statement: Executable, parameters: Parameters | None) -> Sequence[Record]:
    """Run a statement and return its rows."""
    ready = ready_made(statement)
    arguments = ready.arguments(parameters or _NO_PARAMETERS)
    with translated(ready.sql, connection):
        records: Sequence[Record] = await connection.fetch(ready.sql, *arguments, record_class=Record)
    return records


async def execute(connection: asyncpg.Connection, statement: Executable, parameters: Parameters | None) -> int:
    """Run a statement and return how many rows it changed."""
    ready = ready_made(statement)
    arguments = ready.arguments(parameters or _NO_PARAMETERS)
    with translated(ready.sql, connection):
        status = await connection.execute(ready.sql, *arguments)
    last = status.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0


_compiled: WeakKeyDictionary[Executable, Statement] = WeakKeyDictionary()


class DriverFailure(Exception):
    """What failed, without the driver's text, which may quote a value; a refusal for want of rights names only tables."""

    def __init__(self, error: Exception) -> None:
        """Keep the kind of the error and PostgreSQL's code of it."""
        self.sqlstate: str = getattr(error, "sqlstate", None) or ""
        super().__init__(type(error).__name__, self.sqlstate, *([str(error)] if self.sqlstate == _NO_RIGHTS else []))


def caused_by_data(error: BaseException) -> bool:
    """Whether the database could not compute with a value, or would not store it (class 22): another attempt would end in the same."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, DriverFailure) and error.orig.sqlstate.startswith(_DATA)


@contextmanager
def translated(sql: str, connection: asyncpg.Connection | None = None) -> Iterator[None]:
    """Turn the driver's failures into SQLAlchemy's; plain OSErrors pass, as they do while it connects."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, AsyncAdapt_asyncpg_dbapi.Error) as error:
        # The last is what the pool raises when it could not connect.
        lost = connection is None or connection.is_closed()
        raise DBAPIError(sql, None, DriverFailure(error), hide_parameters=True, connection_invalidated=lost) from error
