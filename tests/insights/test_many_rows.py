"""A page reads as many rows as it shows, however many there are, and of any kind; what has expired is cleared away in parts."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from server.db.engines import DbRole
from server.db.statements import ready_made
from server.db.tenant import TENANT
from server.identity import OrgId, UserId
from server.insights import store
from server.insights.model import KEPT
from server.insights.reading import store as reading
from server.insights.reading.store import Wanted, _page
from server.insights.retire import retire
from tests.support.insights import finding, in_days, recorded
from tests.support.leftovers import superuser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import asyncpg
    from sqlalchemy import TextClause

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("insights many rows")

ROWS, EXPIRED = 20_000, 3_000
LIMIT = 21
JOINS = (("hashjoin", "mergejoin"), ("hashjoin", "mergejoin", "hashagg", "sort", "material"), ("nestloop",))
"""Kinds of join that a planner is kept from, which leaves it others."""
KINDS = ("category", "insight_type", "min_confidence", "unviewed_only", "before")
_FILL = """
INSERT INTO insights (org_id, insight_id, fingerprint, category, insight_type, title, description, confidence, data_points, actions,
    provenance, severity, digest, message, created_at, updated_at, shown_at, expires_at, listed, revision)
SELECT $1, gen_random_uuid(), sha256($1::text::bytea || n::text::bytea), CASE n % 2 WHEN 0 THEN 'finance' ELSE 'hr' END,
    CASE n % 2 WHEN 0 THEN 'payroll_cost_spike' ELSE 'high_turnover_risk' END, 't', 'd', 0.9, '{}', '[]', '{}', 1, '', 'm', at, at, at,
    $3, true, 1
FROM (SELECT n, timestamptz '2026-01-01 UTC' + n * interval '1 second' AS at FROM generate_series(1, $2) n) made
"""


_NEIGHBOURS = """
INSERT INTO insights (org_id, insight_id, fingerprint, category, insight_type, title, description, confidence, data_points, actions,
    provenance, severity, digest, message, created_at, updated_at, shown_at, expires_at, listed, revision)
SELECT 'neighbour-' || n / 5, gen_random_uuid(), sha256(n::text::bytea), 'finance', 'payroll_cost_spike', 't', 'd', 0.9, '{}', '[]', '{}',
    1, '', 'm', now(), now(), now(), 'infinity', true, 1
FROM generate_series(1, 5000) n ON CONFLICT DO NOTHING
"""


async def fill(connection: asyncpg.Connection, org: str, rows: int, expires: datetime) -> None:
    """Insert rows past the store, as many as a run never finds."""
    await connection.execute(_FILL, org, rows, expires)
    await connection.execute("VACUUM (ANALYZE) insights")


def scans(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every node that reads `insights`."""
    if plan.get("Relation Name") == "insights":
        yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


async def rows_read(connection: asyncpg.Connection, org: str, chosen: Mapping[str, bool]) -> tuple[str, int]:
    """Run a page as role `app` and return the index that it read and how many rows, those that were filtered out too."""
    ready = ready_made(_page(LIMIT, **{kind: chosen.get(kind, False) for kind in KINDS}))
    parameters = {
        TENANT: org, "viewer": "u", "category": "finance", "insight_type": "payroll_cost_spike", "min_confidence": 0.5,
        "before_at": datetime(2026, 1, 1, 2, tzinfo=UTC), "before_id": UUID(int=0),
    }  # fmt: skip
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {DbRole.APP}")
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {ready.sql}", *ready.arguments(parameters))
    (scan,) = scans(json.loads(explained)[0]["Plan"])
    return scan.get("Index Name", scan["Node Type"]), int(scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0))


def possible(kind: Mapping[str, bool]) -> bool:
    """A known type is asked for without its category."""
    return not (kind["category"] and kind["insight_type"])


async def test_every_kind_of_page_of_a_large_tenant_among_small_ones_is_read_off_an_index_in_its_order(
    cluster: Cluster, shared: Service, org: str
) -> None:
    async with superuser(cluster, shared) as connection:
        await connection.execute(_NEIGHBOURS)
        await fill(connection, org, ROWS, in_days(30))
        kinds = [dict(zip(KINDS, chosen, strict=True)) for chosen in itertools.product((False, True), repeat=len(KINDS))]
        for kind in filter(possible, kinds):
            index = "ix_insights_category" if kind["category"] else "ix_insights_type" if kind["insight_type"] else "ix_insights_newest"
            assert await rows_read(connection, org, kind) == (index, LIMIT), kind


async def test_control_a_planner_that_expects_small_tenants_reads_all_rows_of_a_large_one(
    cluster: Cluster, shared: Service, org: str
) -> None:
    async with superuser(cluster, shared) as connection:
        await connection.execute(_NEIGHBOURS)
        await connection.execute("ALTER TABLE insights ALTER COLUMN org_id RESET (n_distinct)")
        try:
            await fill(connection, org, ROWS, in_days(30))
            _, rows = await rows_read(connection, org, {})
        finally:
            await connection.execute("ALTER TABLE insights ALTER COLUMN org_id SET (n_distinct = 1)")
            await connection.execute("ANALYZE insights")
        assert rows >= ROWS


async def test_expired_rows_cost_a_page_nothing_once_they_are_retired_and_are_never_shown_before(
    cluster: Cluster, shared: Service, org: str
) -> None:
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, EXPIRED, in_days(-1))
        await connection.execute("UPDATE insights SET expires_at = 'infinity' WHERE org_id = $1 AND shown_at < '2026-01-01 00:00:21Z'", org)
        await connection.execute("VACUUM (ANALYZE) insights")
        _, before = await rows_read(connection, org, {})
        shown = await reading.page(shared.app.db, OrgId(org), Wanted(UserId("u")), None, 1001)
        assert len(shown) == 20
        async with shared.app.tx(OrgId(org)) as tx:
            assert await store.retire(tx, OrgId(org), EXPIRED - 21) == EXPIRED - 21
            assert await store.retire(tx, OrgId(org), EXPIRED) == 1
        await connection.execute("VACUUM (ANALYZE) insights")
        _, after = await rows_read(connection, org, {})
    assert (before, after) == (EXPIRED, 20)


async def test_a_run_takes_expired_rows_off_the_lists_by_itself(cluster: Cluster, shared: Service, org: str) -> None:
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, 100, in_days(-1))
        await recorded(shared.app.db, org, [finding()])
        assert await connection.fetchval("SELECT count(*) FROM insights WHERE org_id = $1 AND listed", org) == 1
        assert await connection.fetchval("SELECT count(*) FROM insights WHERE org_id = $1", org) == 101


async def test_what_expired_long_ago_is_deleted_with_its_views_and_nothing_of_anybody_else(
    cluster: Cluster, shared: Service, org: str
) -> None:
    old = KEPT / timedelta(days=1)
    async with superuser(cluster, shared) as connection:
        for name, days in ((org, -old - 1), (f"{org}-b", -old - 1), (f"{org}-c", -old + 1)):
            await fill(connection, name, 10, in_days(days))
            await connection.execute(
                "INSERT INTO insight_views SELECT org_id, 'u', insight_id, now() FROM insights WHERE org_id = $1", name
            )
        for name in (org, f"{org}-c"):
            async with shared.app.tx(OrgId(name)) as tx:
                assert not await retire(tx, OrgId(name))
        for table in ("insights", "insight_views"):
            counted = await connection.fetch(f"SELECT org_id FROM {table} WHERE starts_with(org_id, $1)", org)  # noqa: S608 - from above
            assert sorted(row["org_id"] for row in counted) == [f"{org}-b"] * 10 + [f"{org}-c"] * 10


async def test_retiring_says_when_there_may_be_more(cluster: Cluster, shared: Service, org: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.insights.retire.MOST_AT_ONCE", 10)
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, 25, in_days(-1))
    more = []
    for _ in range(3):
        async with shared.app.tx(OrgId(org)) as tx:
            more.append(await retire(tx, OrgId(org)))
    assert more == [True, True, False]


@pytest.mark.parametrize("statement", [store._RETIRE, store._PURGE], ids=["retire", "purge"])
@pytest.mark.parametrize("off", JOINS, ids=lambda off: "without " + " ".join(off))
async def test_however_the_planner_joins_no_more_are_cleared_away_at_once_than_was_said(
    cluster: Cluster, shared: Service, org: str, statement: TextClause, off: Sequence[str]
) -> None:
    ready = ready_made(statement)
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, 35, in_days(-KEPT.days - 1))
        await connection.execute("UPDATE insights SET listed = $2 WHERE org_id = $1", org, statement is store._RETIRE)
        async with connection.transaction():
            for kind in off:
                await connection.execute(f"SET LOCAL enable_{kind} = off")
            cleared = await connection.execute(ready.sql, *ready.arguments({"org": org, "most": 10, "kept": KEPT}))
    assert cleared.endswith(" 10")
