"""A service whose worker starts when a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import environment, live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service without a worker."""
    async with live.running(environment.settings(cluster, database), tmp_path, worker=False) as made:
        yield made
