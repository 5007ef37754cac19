"""One stack for the tests that start and kill services of their own on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos import history
from tests.support.asking import new_org
from tests.support.stack import stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.stack import Stack


@pytest.fixture(scope="package")
async def databases_alone() -> AsyncIterator[Stack]:
    """Databases that keep the history of every job."""
    async with stack() as made:
        await history.record(made)
        yield made


@pytest.fixture
async def bare(databases_alone: Stack) -> AsyncIterator[Stack]:
    """Databases on which nothing works yet; what a test starts ends with it."""
    yield databases_alone
    await databases_alone.end_services()
    await history.forget_unfinished(databases_alone)


@pytest.fixture
def org() -> str:
    """An organization of the test's own."""
    return new_org()
