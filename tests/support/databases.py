"""PostgreSQL and Valkey of one test process, and a fresh migrated database per test."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg

from server.db import migrate
from server.db.bootstrap import bootstrap
from server.db.engines import DbRole, async_url
from server.embedded.postgres import Postgres, start_postgres
from server.embedded.valkey import Valkey, start_valkey

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = "analytics_owner"
PASSWORDS = {role: f"{role.value}-password" for role in DbRole}
TEMPLATE = "template_analytics"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The running servers."""

    postgres: Postgres
    valkey: Valkey

    def owner_url(self, database: str) -> str:
        """Address of a database as its owner."""
        return self.postgres.url(OWNER, "owner-password", database)

    async def create_database(self, template: str = TEMPLATE) -> str:
        """Copy the migrated template, or another database; returns the name."""
        name = f"test_{uuid4().hex[:16]}"
        admin = await asyncpg.connect(self.postgres.admin_url)
        try:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}")
            await admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            for role in DbRole:
                await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {role}")
        finally:
            await admin.close()
        return name

    async def drop_database(self, name: str) -> None:
        """Remove a test's database."""
        admin = await asyncpg.connect(self.postgres.admin_url)
        try:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await admin.close()


def cluster() -> Iterator[Cluster]:
    """Start the servers, migrate the template, stop everything at the end."""
    folder = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    folder.chmod(0o755)
    postgres = start_postgres(folder / "pg", fast=True)
    try:
        valkey = start_valkey(folder / "vk")
        try:
            made = Cluster(postgres, valkey)
            asyncio.run(_prepare(made))
            yield made
        finally:
            valkey.stop()
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare(made: Cluster) -> None:
    owner = async_url(made.owner_url(TEMPLATE))
    await bootstrap(made.postgres.admin_url, owner, PASSWORDS)
    await migrate.migrate(owner)
