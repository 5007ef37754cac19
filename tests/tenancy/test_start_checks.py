"""What a process checks before it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from server.db import Database, about, migrate
from server.db.preflight import SchemaOutdated, check_schema
from tests.support import environment

if TYPE_CHECKING:
    from tests.support.databases import Cluster


async def _silent(_: tuple[str, ...]) -> None:
    return


def test_the_schema_this_code_works_with_is_the_newest_migration() -> None:
    assert migrate.head() == about.REVISION


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE alembic_version", "schema none"),
        ("UPDATE alembic_version SET version_num = '0000'", "schema 0000"),
    ],
)
async def test_a_database_that_was_not_migrated_is_refused_with_what_to_do(
    cluster: Cluster, database: str, statement: str, said: str
) -> None:
    connection = await asyncpg.connect(cluster.owner_url(database))
    await connection.execute(statement)
    await connection.close()
    db = Database(environment.settings(cluster, database), _silent)
    try:
        with pytest.raises(SchemaOutdated, match=f"{said}.*python -m server.db setup"):
            await check_schema(db, embedded=True)
    finally:
        await db.close()


@pytest.mark.parametrize("revision", [about.REVISION, "9999"])
async def test_a_migrated_database_is_taken_also_when_the_next_release_migrated_it(cluster: Cluster, database: str, revision: str) -> None:
    connection = await asyncpg.connect(cluster.owner_url(database))
    await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
    await connection.close()
    db = Database(environment.settings(cluster, database), _silent)
    try:
        await check_schema(db, embedded=True)
    finally:
        await db.close()


@pytest.mark.parametrize(
    ("version", "hole"), [("18.6", True), ("18.7", False), ("17.11", True), ("17.12", False), ("14.9", True), ("19.0", False)]
)
def test_a_release_before_the_repair_of_the_row_security_hole_is_known(version: str, hole: bool) -> None:  # noqa: FBT001 - a table's column
    assert about.has_row_security_hole(version) is hole
