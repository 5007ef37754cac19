"""Bring the database to the newest revision, and compare it with the tables in the code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import URL, Connection

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaDiffers(Exception):
    """The migrations do not lead to the tables in the code."""


def config() -> Config:
    """Return Alembic's configuration; it has no file."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    return made


def head() -> str:
    """Return the newest revision of the code."""
    return ScriptDirectory.from_config(config()).get_current_head() or ""


async def migrate(owner: URL) -> None:
    """Upgrade to the newest revision."""
    await _with_connection(owner, lambda made: command.upgrade(made, "head"))


async def check(owner: URL) -> None:
    """Compare the migrated database with the tables in the code.

    Raises:
        SchemaDiffers: a migration is missing.

    """
    try:
        await _with_connection(owner, command.check)
    except CommandError as error:
        raise SchemaDiffers(str(error)) from error


async def make_revision(owner: URL, message: str) -> None:
    """Write a new migration from the difference, to be reviewed by its author."""
    await _with_connection(owner, lambda made: command.revision(made, message, autogenerate=True))


async def _with_connection(owner: URL, act: Callable[[Config], object]) -> None:
    engine = create_async_engine(owner, poolclass=NullPool)

    def run(connection: Connection) -> None:
        made = config()
        made.attributes["connection"] = connection
        act(made)

    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()
