"""A PostgreSQL that neither answers nor hangs up costs a cancelled call its connection, and never a place in the pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from server.db import Database
from server.db import database as database_module
from server.db.engines import DbRole
from tests.support import environment
from tests.support.faulty_proxy import proxied
from tests.support.until import until

if TYPE_CHECKING:
    from tests.support.databases import Cluster

CALLS = 4


async def _silent(_: tuple[str, ...]) -> None:
    return


@pytest.mark.parametrize("bounded", [True, False])
async def test_calls_cancelled_while_the_database_is_silent_give_their_places_back_by_the_bound_on_rollbacks(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch, *, bounded: bool
) -> None:
    monkeypatch.setattr(database_module, "_ROLLBACK_SECONDS", 0.2 if bounded else 60)
    plain = environment.settings(cluster, database)
    async with proxied(next(path for path in cluster.postgres.sockets.glob(".s.PGSQL.*") if path.suffix != ".lock")) as proxy:
        url = make_url(plain.database_url).set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)
        db = Database(plain.model_copy(update={"database_url": url}), _silent)
        asked, holding = 0, asyncio.Event()

        async def use() -> None:
            nonlocal asked
            async with db.platform() as tx:
                await tx.one(text("SELECT 1 AS one"))
                asked += 1
                await holding.wait()
                await tx.one(text("SELECT 1 AS one"))

        calls = [asyncio.create_task(use()) for _ in range(CALLS)]
        await until(lambda: asked == CALLS)
        proxy.swallow()
        for call in calls:
            call.cancel()
        if bounded:
            await until(lambda: db.taken(DbRole.APP) == 0)
        else:
            # The control: without the bound they wait for an answer to their ROLLBACK.
            await asyncio.wait(calls, timeout=1)
            assert db.taken(DbRole.APP) == CALLS
        proxy.mend()
        await asyncio.wait(calls)
        await db.close()
