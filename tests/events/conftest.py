"""Fixtures of the event tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.telling import bedded
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster
    from tests.support.live import Service
    from tests.support.telling import Bed


@pytest.fixture
async def bed(cluster: Cluster, database: str) -> AsyncIterator[Bed]:
    """A database of its own, in which nothing is published but by hand."""
    async with bedded(cluster, database) as made:
        yield made


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service with worker, relay and model for all tests of a file."""
    async with shared_service(cluster, tmp_path_factory.mktemp("events"), model=True) as service:
        yield service
