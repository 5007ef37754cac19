"""A service without a worker, shared by the tests of a file, and findings recorded in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.asking import new_org
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster
    from tests.support.live import Service


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service that the tests of a file share."""
    async with shared_service(cluster, tmp_path_factory.mktemp("insights"), model=False, worker=False) as service:
        yield service


@pytest.fixture
def org() -> str:
    """An organization of the test's own."""
    return new_org()
