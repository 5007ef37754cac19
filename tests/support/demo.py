"""A demo after its first night, loaded once per test process; a file that wants it gets a copy of the database."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ctl.terminal import Terminal
from tests.support import environment
from tests.support.live import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster


@dataclass(frozen=True, slots=True)
class Demo:
    """The database, which nobody may connect to while it is copied, and what the command said that loaded it."""

    database: str
    said: str


async def demo(cluster: Cluster) -> AsyncIterator[Demo]:
    """Load it, and drop it at the end."""
    database = await cluster.create_database()
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        async with running(environment.settings(cluster, database), Path(folder)) as service:
            loaded = await Terminal(service, Path(folder)).demo()
    assert loaded.code == 0, loaded.out + loaded.err
    yield Demo(database, loaded.out)
    await cluster.drop_database(database)
