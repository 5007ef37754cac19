"""A service without a worker, shared by the tests of a file, and one of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import environment, live
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service that the tests of a file share."""
    async with shared_service(cluster, tmp_path_factory.mktemp("benchmarks"), model=False, worker=False) as service:
        yield service


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service without a worker."""
    async with live.running(environment.settings(cluster, database), tmp_path, worker=False) as made:
        yield made
