"""Statements that set their tenant themselves see what a transaction of the tenant would, and leave nothing behind."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import asyncpg
import pytest
from analytics.v1 import insights_pb2 as pb
from sqlalchemy import func, literal_column, select, text, true
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from server.db import Database, tenant
from server.db.engines import DbRole
from server.identity import JobId, OrgId, UserId
from server.insights.model import Category
from server.insights.reading import store as reading
from server.insights.reading.store import Wanted
from server.predictions.at_once import store
from tests.queue.simulation import add_jobs, add_model
from tests.support import environment, insights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Executable

    from tests.support.databases import Cluster

ORGS = [OrgId(f"org-{number}") for number in range(5)]
USER = UserId("u")
CALLS = 4_000
CONTEXT = text("SELECT coalesce(current_setting('app.org_id', true), '') AS org")
# Plans that would read the table before the tenant is set, were the statement free to choose them.
PLANS: tuple[dict[str, str], ...] = (
    {},
    {"plan_cache_mode": "force_generic_plan"},
    {"enable_nestloop": "off", "enable_indexscan": "off", "enable_bitmapscan": "off"},
    {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_material": "off"},
    {"join_collapse_limit": "1", "from_collapse_limit": "1"},
)


async def _silent(_: tuple[str, ...]) -> None:
    return


@pytest.fixture
async def db(cluster: Cluster, database: str) -> AsyncIterator[Database]:
    """The pools of a process, and a job per organization."""
    await add_jobs(cluster, database, await add_model(cluster, database), [(org, 1) for org in ORGS])
    made = Database(environment.settings(cluster, database, db_pool_size=4), _silent)
    yield made
    await made.close()


async def _jobs(cluster: Cluster, database: str) -> dict[OrgId, JobId]:
    admin = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        return {OrgId(row["org_id"]): JobId(row["job_id"]) for row in await admin.fetch("SELECT org_id, job_id FROM prediction_jobs")}
    finally:
        await admin.close()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: "-".join(plan) or "as it likes")
async def test_a_statement_at_once_finds_its_tenants_row_however_it_is_planned_and_nobody_elses(
    cluster: Cluster, database: str, db: Database, plan: dict[str, str]
) -> None:
    admin = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    for name, value in plan.items():
        await admin.execute(f"ALTER DATABASE {database} SET {name} = {value}")
    await admin.close()
    jobs = await _jobs(cluster, database)
    for _ in range(7):  # the driver's prepared statement gets a generic plan at the sixth execution
        for org, job_id in jobs.items():
            assert (await store.get(db, org, job_id)) is not None
            other = ORGS[(ORGS.index(org) + 1) % len(ORGS)]
            assert await store.get(db, other, job_id) is None


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: "-".join(plan) or "as it likes")
async def test_a_page_at_once_has_its_tenants_rows_however_it_is_planned_and_nobody_elses(
    cluster: Cluster, database: str, db: Database, plan: dict[str, str]
) -> None:
    for org in ORGS:
        await insights.recorded(db, org, [insights.finding(f"{org}/{number}", title=org) for number in range(3)])
    admin = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    for name, value in plan.items():
        await admin.execute(f"ALTER DATABASE {database} SET {name} = {value}")
    await admin.close()
    fresh = Database(environment.settings(cluster, database, db_pool_size=1), _silent)
    for _ in range(7):  # as above
        for org in ORGS:
            for wanted in (Wanted(USER), Wanted(USER, Category.FINANCE), Wanted(USER, min_confidence=0.1, unviewed_only=True)):
                rows = await reading.page(fresh, org, wanted, None, 21)
                assert [pb.Insight.FromString(row.message).title for row in rows] == [org] * 3
                assert [row[2:] for row in rows] == sorted((row[2:] for row in rows), reverse=True)
                assert [row[2:] for row in await reading.page(fresh, org, wanted, rows[0][2:], 21)] == [row[2:] for row in rows[1:]]
            (first, *_) = await reading.page(fresh, org, Wanted(USER), None, 21)
            assert await reading.get(fresh, org, USER, first.insight_id) == first
            other = ORGS[(ORGS.index(org) + 1) % len(ORGS)]
            assert await reading.get(fresh, other, USER, first.insight_id) is None
    await fresh.close()


def _leaky() -> Executable:
    who = select(func.set_config("app.org_id", literal_column("'org-1'"), literal_column("false")).label("org_id")).cte("tenant")
    job = tenant.of_tenant(select(literal_column("1").label("one")).where(who.c.org_id.is_not(None)), "job")
    return select(job).select_from(who.join(job, true()))


async def _contexts_left(cluster: Cluster, database: str, db: Database, *, leak: bool) -> set[str]:
    jobs = await _jobs(cluster, database)
    leaky, seen = _leaky(), set()

    async def lane(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(CALLS // 8):
            org = dice.choice(ORGS)
            call = db.at_once(org, leaky, {}) if leak else store.get(db, org, jobs[org])
            task = asyncio.ensure_future(call)
            if dice.random() < 0.3:
                for _ in range(dice.randint(0, 8)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
            async with db.platform() as tx:
                seen.add((await tx.one(CONTEXT)).org)

    await asyncio.gather(*(lane(seed) for seed in range(8)))
    assert db.taken(DbRole.APP) == 0
    return seen


async def test_guarantee_10_no_tenant_context_survives_a_statement_at_once(cluster: Cluster, database: str, db: Database) -> None:
    assert await _contexts_left(cluster, database, db, leak=False) == {""}
    print(f"guarantee 10: {CALLS} statements that set their own tenant")


async def test_guarantee_10_control_a_statement_whose_setting_outlives_it_is_seen(cluster: Cluster, database: str, db: Database) -> None:
    assert await _contexts_left(cluster, database, db, leak=True) != {""}


async def test_a_transaction_that_passes_over_a_failed_statement_is_no_success(db: Database) -> None:
    async def pass_over() -> None:
        async with db.tx(ORGS[0]) as tx:
            with pytest.raises(DBAPIError, match="DivisionByZeroError"):
                await tx.one(text("SELECT 1 / 0 AS nothing"))

    with pytest.raises(InvalidRequestError, match="rolled back"):
        await pass_over()


async def test_the_failure_of_a_statement_never_shows_its_parameters(db: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with db.tx(ORGS[0]) as tx:
            await tx.one(text("SELECT CAST(:value AS text) || 1 / 0 AS nothing"), {"value": "canary-4711"})
    assert "canary-4711" not in str(caught.value)


async def test_an_organization_with_a_quote_in_its_name_is_a_name_like_any_other(db: Database) -> None:
    for name in ("o'neill", "back\\slash", "a:b", "'; SELECT 1; --"):
        async with db.tx(OrgId(name)) as tx:
            assert (await tx.one(CONTEXT)).org == name


@pytest.mark.parametrize("statement", ["SELECT CAST(:given AS int)", "SELECT CAST(CAST(:given AS text) AS uuid)"])
async def test_a_failure_of_the_database_says_nothing_of_the_values_it_was_given(db: Database, statement: str) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with db.platform() as tx:
            await tx.one(text(statement), {"given": "canary-4711"})
    assert "canary" not in str(failed.value) + repr(failed.value) + repr(failed.value.orig)
