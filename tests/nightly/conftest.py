"""One service with models and one without, each for the tests of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.nightly.nights import nights
from tests.support.asking import new_org

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.nightly.nights import Nights
    from tests.support.databases import Cluster


@pytest.fixture(scope="module")
async def modelled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nights]:
    """Nights with an active model of every type."""
    async with nights(cluster, tmp_path_factory.mktemp("nights"), models=True) as made:
        yield made


@pytest.fixture(scope="module")
async def plain(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nights]:
    """Nights without a model."""
    async with nights(cluster, tmp_path_factory.mktemp("nights"), models=False) as made:
        yield made


@pytest.fixture
def org() -> str:
    """An organization of the test's own."""
    return new_org()
