"""Fixtures of all tests: servers once per test process, a fresh database per test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import databases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.databases import Cluster

# Settings of a shell that runs the service beside the tests must not leak into them.
for name in [name for name in os.environ if name.startswith(("ANALYTICS_", "ANALYTICSCTL_"))]:
    del os.environ[name]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL and Valkey of this test process, roles made, a migrated template."""
    yield from databases.cluster()


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    """Name of a fresh, migrated database."""
    name = await cluster.create_database()
    yield name
    await cluster.drop_database(name)
