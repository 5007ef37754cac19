"""An app on a database whose clock a test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from server import app as composition
from tests.support import environment
from tests.support.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.app import App
    from tests.support.databases import Cluster


@pytest.fixture
async def clock(cluster: Cluster, database: str) -> AsyncIterator[VirtualClock]:
    """The clock of the database, which stands still."""
    made = await VirtualClock.install(cluster, database)
    yield made
    await made.close()


@pytest.fixture
async def app(cluster: Cluster, database: str) -> AsyncIterator[App]:
    """What a process holds, with nothing running."""
    made = composition.make(environment.settings(cluster, database))
    yield made
    await made.queue.close()
    await made.valkey.close()
    await made.db.close()


@pytest.fixture
async def owner(cluster: Cluster, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that passes every policy."""
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    yield connection
    await connection.close()
