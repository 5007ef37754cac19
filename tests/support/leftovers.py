"""What is stored at a moment, seen as superuser and past every policy."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy.engine import make_url

from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.databases import Cluster
    from tests.support.live import Service


@asynccontextmanager
async def superuser(cluster: Cluster, service: Service) -> AsyncIterator[asyncpg.Connection]:
    """Connect to the database of a service as superuser."""
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=make_url(service.app.settings.database_url).database)
    try:
        yield connection
    finally:
        await connection.close()


async def rows_of(cluster: Cluster, service: Service, org: str) -> Mapping[str, int]:
    """Return the number of rows of an organization per table, empty tables left out."""
    async with superuser(cluster, service) as connection:
        tables = await connection.fetch("SELECT DISTINCT tablename FROM pg_policies WHERE schemaname = 'public'")
        names = sorted(row["tablename"] for row in tables)
        counted = {name: await connection.fetchval(f"SELECT count(*) FROM {name} WHERE org_id = $1", org) for name in names}  # noqa: S608 - names from the catalogue
    return {name: number for name, number in counted.items() if number}


async def inputs_of(service: Service, org: str) -> list[bytes]:
    """Return the keys of the inputs that Valkey keeps of an organization."""
    keys: list[bytes] = await service.app.valkey.client.keys(f"analytics:input:{{{org}}}:*")
    return keys


async def inputs_dropped(service: Service, org: str) -> None:
    """Return once Valkey keeps no input of an organization; a worker drops one right after it told of the end."""

    async def none() -> bool:
        return not await inputs_of(service, org)

    await until_so(none)


async def nothing_of(cluster: Cluster, service: Service, org: str) -> bool:
    """Whether an organization left no trace, neither in PostgreSQL nor in Valkey."""
    return not await rows_of(cluster, service, org) and not await inputs_of(service, org)
