"""Guarantee 10: no tenant context survives a pooled connection."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from server.db import Database
from server.db import database as database_module
from server.db.engines import DbRole
from server.identity import OrgId
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.databases import Cluster

TRANSACTIONS = 20_000
ORGS = [OrgId(f"org-{number}") for number in range(20)]
CONTEXT = text("SELECT coalesce(current_setting('app.org_id', true), '') AS org, pg_backend_pid() AS backend")


async def _silent(_: tuple[str, ...]) -> None:
    return


@pytest.fixture
async def db(cluster: Cluster, database: str) -> AsyncIterator[Database]:
    """The pools of a process."""
    made = Database(environment.settings(cluster, database, db_pool_size=6), _silent)
    yield made
    await made.close()


@dataclass
class Leaks:
    """What a run saw."""

    transactions: int = 0
    cancelled: int = 0
    wrong: list[str] = field(default_factory=list)


async def _one(db: Database, dice: random.Random, leaks: Leaks) -> None:
    """One transaction of a random tenant, or of none; checks the context it finds at its start and at its end."""
    leaks.transactions += 1
    org = dice.choice([*ORGS, None])
    opened = db.platform() if org is None else db.tx(org)
    with contextlib.suppress(_Undo):
        async with opened as tx:
            seen = await tx.one(CONTEXT)
            if seen.org != (org or ""):
                leaks.wrong.append(f"{org} saw {seen.org!r}")
            if dice.random() < 0.2:
                raise _Undo


class _Undo(Exception):
    """Rolls a transaction back."""


async def _with_cancellation(act: Callable[[], Awaitable[None]], dice: random.Random, leaks: Leaks) -> None:
    task = asyncio.ensure_future(act())
    if dice.random() < 0.3:
        for _ in range(dice.randint(0, 12)):
            await asyncio.sleep(0)
        task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        leaks.cancelled += 1
    except SQLAlchemyError:
        leaks.cancelled += 1


async def storm(db: Database, transactions: int, seed: int) -> Leaks:
    """Run many transactions over few connections, cancelling a third of them somewhere."""
    leaks = Leaks()

    async def lane(number: int) -> None:
        dice = random.Random(seed * 1000 + number)
        for _ in range(transactions // 8 + transactions // 200):
            await _with_cancellation(lambda: _one(db, dice, leaks), dice, leaks)

    await asyncio.gather(*(lane(number) for number in range(8)))
    return leaks


async def test_guarantee_10_no_tenant_context_survives_a_pooled_connection(db: Database) -> None:
    leaks = await storm(db, TRANSACTIONS, seed=10)
    print(f"guarantee 10: {leaks.transactions} transactions, {leaks.cancelled} cancelled, {len(leaks.wrong)} wrong")
    assert leaks.wrong == []
    assert leaks.transactions >= TRANSACTIONS
    assert leaks.cancelled > TRANSACTIONS // 20


async def test_guarantee_10_control_a_context_that_outlives_its_transaction_is_seen(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_SET_TENANT", text("SELECT set_config('app.org_id', :org, false)"))
    assert (await storm(db, 400, seed=11)).wrong


async def test_a_tenant_sees_and_changes_only_its_own_rows(db: Database) -> None:
    insert = text("INSERT INTO tenant_switches VALUES (:org, true, true, false, 1, analytics_now())")
    for org in ORGS[:2]:
        async with db.tx(org) as tx:
            await tx.run(insert, {"org": org})
    async with db.tx(ORGS[0]) as tx:
        assert [row.org_id for row in await tx.all(text("SELECT org_id FROM tenant_switches"))] == [ORGS[0]]
        assert await tx.run(text("UPDATE tenant_switches SET pooled_training = false")) == 1
    with pytest.raises(DBAPIError, match="row-level security"):
        async with db.tx(ORGS[0]) as tx:
            await tx.run(insert, {"org": "org-9"})
    async with db.platform() as tx:
        assert await tx.all(text("SELECT org_id FROM tenant_switches")) == []
    async with db.read(ORGS[1]) as reader:
        assert (await reader.one(text("SELECT pooled_training FROM tenant_switches"))).pooled_training


async def test_the_pool_is_whole_after_cancellations(db: Database) -> None:
    await storm(db, 800, seed=12)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            tx = await stack.enter_async_context(db.platform())
            await tx.one(CONTEXT)
    assert db.taken(DbRole.APP) == 0
