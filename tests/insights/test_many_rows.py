"""A page reads as many rows as it shows, however many there are, and of any kind; what has expired is cleared away in parts."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from analytics.v1 import insights_pb2 as pb

from server.db.engines import DbRole
from server.db.statements import ready_made
from server.db.tenant import TENANT
from server.identity import OrgId
from server.insights import store
from server.insights.reading.store import _page
from server.insights.retire import KEPT, retire
from tests.support import live
from tests.support.insights import finding, in_days, recorded
from tests.support.leftovers import superuser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import asyncpg

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("insights many rows")

ROWS, EXPIRED = 20_000, 3_000
LIMIT = 21
KINDS = ("category", "insight_type", "min_confidence", "unviewed_only", "before")
_FILL = """
INSERT INTO insights (org_id, insight_id, fingerprint, category, insight_type, title, description, confidence, data_points, actions,
    provenance, severity, digest, message, created_at, updated_at, shown_at, expires_at, listed, revision)
SELECT $1, gen_random_uuid(), sha256($1::text::bytea || n::text::bytea), CASE n % 2 WHEN 0 THEN 'finance' ELSE 'hr' END,
    CASE n % 2 WHEN 0 THEN 'payroll_cost_spike' ELSE 'high_turnover_risk' END, 't', 'd', 0.9, '{}', '[]', '{}', 1, '', 'm', at, at, at,
    $3, true, 1
FROM (SELECT n, timestamptz '2026-01-01 UTC' + n * interval '1 second' AS at FROM generate_series(1, $2) n) made
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


async def test_every_kind_of_page_is_read_off_an_index_in_its_order(cluster: Cluster, shared: Service, org: str) -> None:
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, ROWS, in_days(30))
        for chosen in itertools.product((False, True), repeat=len(KINDS)):
            kind = dict(zip(KINDS, chosen, strict=True))
            index, rows = await rows_read(connection, org, kind)
            assert index in {"ix_insights_newest", "ix_insights_category", "ix_insights_type"}, kind
            # A category and a type that belong together are looked up by one of them.
            assert rows <= LIMIT * (2 if kind["category"] and index == "ix_insights_newest" else 1), (kind, index)


async def test_control_without_the_index_a_page_reads_them_all(cluster: Cluster, shared: Service, org: str) -> None:
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, ROWS, in_days(30))
        await connection.execute("ALTER INDEX ix_insights_newest RENAME TO kept")
        made = await connection.fetchval("SELECT pg_get_indexdef('kept'::regclass)")
        await connection.execute("DROP INDEX kept")
        try:
            _, rows = await rows_read(connection, org, {})
        finally:
            await connection.execute(made.replace(" kept ", " ix_insights_newest "))
        assert rows > ROWS // 2


async def test_expired_rows_cost_a_page_nothing_once_they_are_retired_and_are_never_shown_before(
    cluster: Cluster, shared: Service, org: str
) -> None:
    async with superuser(cluster, shared) as connection:
        await fill(connection, org, EXPIRED, in_days(-1))
        # Its record takes some of them along already.
        for _ in range(20):
            await connection.execute(
                "INSERT INTO insights SELECT (i).* FROM (SELECT json_populate_record(i, json_build_object('insight_id', gen_random_uuid(),"
                " 'fingerprint', gen_random_uuid()::text, 'expires_at', 'infinity'::timestamptz)) AS i FROM insights i WHERE org_id = $1"
                " LIMIT 1) one",
                org,
            )
        await connection.execute("VACUUM (ANALYZE) insights")
        _, before = await rows_read(connection, org, {})
        answer = await shared.analytics.GetInsights(pb.GetInsightsRequest(page_size=1000), metadata=live.bearer(org))
        assert not answer.next_page_token
        async with shared.app.tx(OrgId(org)) as tx:
            assert await store.retire(tx, OrgId(org), EXPIRED - 1) == EXPIRED - 1
            assert await store.retire(tx, OrgId(org), EXPIRED) == 1
        await connection.execute("VACUUM (ANALYZE) insights")
        _, after = await rows_read(connection, org, {})
    assert (before, after) == (EXPIRED + 20, 20)


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
