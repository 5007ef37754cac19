"""The monthly job over a real database: what it reads, what it shows, what it leaves out, and that it does so once."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import numpy as np
import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.benchmarks import store as cells
from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import Earlier, OrganizationMetric
from server.benchmarks.publish import publish
from server.benchmarks.release import decide
from server.benchmarks.releases import store
from server.db.engines import DbRole
from server.errors import AnalyticsError, Reason
from server.events.model import Cause
from server.identity import OrgId
from tests.benchmarks.contributing import PAY, THIS_MONTH, TURNOVER, Value, consent, contribute, release, values
from tests.support import runs
from tests.support.leftovers import superuser
from tests.support.working import working

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

HIDDEN = ("organization_metrics", "organization_profiles", "tenant_switches", "employees", "benchmark_secret", "outbox", "job_runs")
SIZES = ("1-49", "50-200", "201-1000", "1001-5000", "5001+")
INDUSTRIES = ("technology", "healthcare", "finance", "manufacturing", "retail", "professional_services")


async def _cells(cluster: Cluster, service: Service, metric: str = TURNOVER, currency: str = "") -> dict[tuple[str, str], object]:
    async with superuser(cluster, service) as connection:
        rows = await connection.fetch("SELECT * FROM shared_benchmark_cells WHERE metric = $1 AND currency = $2", metric, currency)
    return {
        (row["industry"], row["size_range"]): row["withheld"] or (row["percentile25"], row["percentile50"], row["percentile75"])
        for row in rows
    }


async def _members(service: Service) -> frozenset[bytes]:
    async with service.app.db.platform(DbRole.BENCHMARK) as tx:
        before = await store.earlier(tx)
    return frozenset(tag for past in before().sheets.values() for tags in past[-1].members.values() for tag in tags)


async def test_hundreds_of_organizations_give_the_quartiles_of_their_grid_points(cluster: Cluster, idle: Service) -> None:
    dice = np.random.default_rng(1)
    sizes = {(industry, size): int(dice.choice([2, 6, 12, 18])) for industry in INDUSTRIES for size in SIZES}
    rows = [
        Value(f"{industry}-{size}-{number}", float(dice.gamma(4, 0.05)), industry, size)
        for (industry, size), count in sizes.items()
        for number in range(count)
    ]
    await contribute(cluster, idle, rows)
    counts = await release(idle)
    shown = await _cells(cluster, idle)
    grid = BY_NAME[TURNOVER].grid
    for place, count in sizes.items():
        mine = grid.place([row.value for row in rows if (row.industry, row.size) == place])
        wanted = tuple(Decimal(f"{each:.4f}") for each in np.quantile(mine, [0.25, 0.5, 0.75], method="inverted_cdf"))
        assert shown[place] == (wanted if count >= 10 else "too_few"), place
    every = grid.place([row.value for row in rows])
    whole = [float(figure) for figure in cast("tuple[Decimal, ...]", shown["", ""])]
    assert whole == pytest.approx(list(np.quantile(every, [0.25, 0.5, 0.75], method="inverted_cdf")), abs=0.0051)
    assert len(rows) > 200
    # Five other metrics have no values: 42 cells each, all withheld.
    assert counts["cells_released"] + counts["cells_withheld"] == 6 * 42
    assert counts["cells_withheld"] > 5 * 42
    assert counts["values"] + counts.get("skipped_few", 0) == len(rows)


async def test_an_operator_starts_a_release_and_follows_it(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, values("a", 12))
    run = await runs.start(idle, ops.RunJobRequest(monthly_benchmarks=ops.MonthlyBenchmarksJob()))
    async with working(idle):
        done = await runs.ended(idle, run.id)
    assert done.state == ops.JOB_RUN_STATE_COMPLETED, done
    assert done.HasField("monthly_benchmarks")
    assert done.monthly_benchmarks_result.counts["values"] == 12
    assert done.monthly_benchmarks_result.counts["cells_released"] > 0


async def _told(cluster: Cluster, service: Service) -> list[tuple[str, object]]:
    async with superuser(cluster, service) as connection:
        rows = await connection.fetch("SELECT subject, payload FROM shared_outbox WHERE type = 'benchmark.updated' ORDER BY place")
    return [(row["subject"], json.loads(row["payload"])) for row in rows]


async def test_a_run_that_is_taken_twice_releases_once_and_tells_everybody_once(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, values("a", 12))
    run = uuid4()
    first = await release(idle, run)
    await contribute(cluster, idle, values("b", 12, "retail"))
    assert await release(idle, run) == first
    news = {"release": 1, "cells_published": first["cells_released"], "cells_withheld": first["cells_withheld"]}
    assert await _told(cluster, idle) == [("benchmark_release/1", news)]
    await release(idle)
    assert [subject for subject, _ in await _told(cluster, idle)] == ["benchmark_release/1", "benchmark_release/2"]


async def test_a_release_that_was_decided_before_another_came_is_refused_and_changes_nothing(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, values("a", 12))
    await release(idle)
    before = await _cells(cluster, idle)
    with pytest.raises(AnalyticsError) as refused:
        async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
            await publish(tx, decide([], Earlier(), b""), uuid4(), Earlier(), Cause("test", ""))
    assert refused.value.reason is Reason.CONCURRENT_UPDATE
    assert await _cells(cluster, idle) == before


async def test_who_opted_out_is_in_no_later_release_and_two_others_cover_it(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, values("a", 20))
    await release(idle)
    first, before = await _members(idle), await _cells(cluster, idle)
    await consent(cluster, idle, ["a-003"], given=False)
    # What is shown stays until the next release.
    assert await _cells(cluster, idle) == before
    counts = await release(idle)
    second = await _members(idle)
    assert (len(first), len(second), counts["values"], counts["skipped_few"]) == (20, 17, 17, 2)
    async with superuser(cluster, idle) as connection:
        secret = await connection.fetchval("SELECT secret FROM benchmark_secret")
        inner = "sha256($1::bytea || convert_to($2, 'UTF8') || '\\x00'::bytea || convert_to($3, 'UTF8'))"
        tag = await connection.fetchval(f"SELECT substring(sha256($1::bytea || {inner}) FROM 1 FOR 16)", secret, TURNOVER, "a-003")  # noqa: S608 - a part of the statement
    assert (tag in first, tag in second) == (True, False)
    # Back again it waits for two others to come with it.
    await consent(cluster, idle, ["a-003"], given=True)
    await release(idle)
    assert await _members(idle) in (first, second)


async def test_one_newcomer_waits_and_three_come_in(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, values("a", 12))
    await release(idle)
    before = await _members(idle)
    await contribute(cluster, idle, values("b", 1))
    assert (await release(idle))["skipped_few"] == 1
    assert await _members(idle) == before
    await contribute(cluster, idle, values("b", 3))
    assert "skipped_few" not in await release(idle)
    assert len(await _members(idle)) == 15


async def test_who_moves_waits_until_its_old_place_is_forgotten(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, [*values("a", 20), *values("b", 20, "retail")])
    await release(idle)
    await contribute(cluster, idle, values("a", 4, "retail"))
    assert (await release(idle))["skipped_moved"] == 4
    async with superuser(cluster, idle) as connection:
        await connection.execute("UPDATE benchmark_releases SET released_at = released_at - interval '471 days'")
    assert "skipped_moved" not in await release(idle)
    assert (await release(idle))["values"] == 40


async def test_what_cannot_be_compared_is_counted_with_its_reason(cluster: Cluster, idle: Service) -> None:
    odd = [
        Value("no-profile", 0.1, "", ""),
        Value("no-size", 0.1, "retail", ""),
        Value("no-industry", 0.1, "", "1-49"),
        Value("a-new-industry", 0.1, "mining", "1-49"),
        Value("nan", float("nan")),
        Value("infinite", float("inf")),
        Value("weightless", 0.1, weight=0.0),
        Value("money-without-currency", 1e5, metric=PAY),
        Value("share-with-currency", 0.1, currency="EUR"),
        Value("other", 1.0, metric="a_new_metric"),
        Value("lonely-currency", 1e5, metric=PAY, currency="CHF"),
        Value("old", 0.1, period=THIS_MONTH - timedelta(days=120)),
        Value("future", 0.1, period=THIS_MONTH + timedelta(days=60)),
    ]
    await contribute(cluster, idle, [*values("a", 12), *odd])
    counts = await release(idle)
    skipped = {name.removeprefix("skipped_"): number for name, number in counts.items() if name.startswith("skipped_")}
    assert skipped == {
        "no_industry": 3, "no_size": 1, "bad_value": 3, "bad_currency": 2, "unknown_metric": 1, "rare_currency": 1,
    }  # fmt: skip
    assert counts["values"] == 12


async def test_without_any_organization_every_cell_is_withheld(cluster: Cluster, idle: Service) -> None:
    counts = await release(idle)
    assert (counts["cells_released"], counts["cells_withheld"], counts["values"]) == (0, 252, 0)
    assert set((await _cells(cluster, idle)).values()) == {"too_few"}


async def test_money_is_compared_within_a_currency_and_a_currency_that_is_given_up_shows_nothing(cluster: Cluster, idle: Service) -> None:
    euros = [Value(f"e-{number}", 40_000 + 1000 * number, metric=PAY, currency="EUR") for number in range(15)]
    dollars = [Value(f"d-{number}", 80_000 + 1000 * number, metric=PAY, currency="USD") for number in range(12)]
    await contribute(cluster, idle, [*euros, *dollars])
    await release(idle)
    assert (await _cells(cluster, idle, PAY, "EUR"))["technology", "50-200"] == (43_000, 47_000, 51_000)
    assert (await _cells(cluster, idle, PAY, "USD"))["technology", "50-200"] == (82_000, 85_000, 88_000)
    async with superuser(cluster, idle) as connection:
        main = await connection.fetch("SELECT DISTINCT currency FROM shared_benchmark_cells WHERE metric = $1 AND main_currency", PAY)
        assert [row["currency"] for row in main] == ["EUR"]
        await connection.execute("DELETE FROM organization_metrics WHERE currency = 'USD'")
    await release(idle)
    assert set((await _cells(cluster, idle, PAY, "USD")).values()) == {"too_few"}


async def test_kept_releases_are_read_back_as_they_were_decided_and_old_ones_forgotten(cluster: Cluster, idle: Service) -> None:
    sets = []
    for number in range(3):
        await contribute(cluster, idle, values(f"x{number}", 10))
        await release(idle)
        sets.append(await _members(idle))
    async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
        before = (await store.earlier(tx))()
    (past,) = before.sheets.values()
    assert before.number == 3
    assert [frozenset().union(*each.members.values()) for each in past] == sets
    assert all(("technology", "50-200") in each.shown for each in past)
    async with superuser(cluster, idle) as connection:
        await connection.execute("UPDATE benchmark_releases SET released_at = released_at - interval '471 days' WHERE number < 3")
        await release(idle)
        assert await connection.fetchval("SELECT array_agg(number) FROM benchmark_members") == [3]


async def test_kept_releases_are_unpacked_beside_the_event_loop_and_after_the_transaction(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 12))
    await release(idle)
    unpacked, threads = store._unpacked, set()

    def noted(tags: bytes) -> frozenset[bytes]:
        threads.add(threading.get_ident())
        return unpacked(tags)

    monkeypatch.setattr(store, "_unpacked", noted)
    async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
        kept = await store.earlier(tx)
    assert not threads
    await release(idle)
    assert threads
    assert threading.get_ident() not in threads
    # Control: it is seen where it is done.
    kept()
    assert threading.get_ident() in threads


async def test_values_are_saved_and_replaced_by_metric_and_period_and_only_the_own_are_read(idle: Service) -> None:
    rate = OrganizationMetric(TURNOVER, THIS_MONTH, 0.25, 10.0)
    last = OrganizationMetric(TURNOVER, (THIS_MONTH - timedelta(days=1)).replace(day=1), 0.5, 10.0)
    pay = OrganizationMetric(PAY, THIS_MONTH, 50_000.0, 10.0, "EUR")
    async with idle.app.tx(OrgId("acme")) as tx:
        await cells.save_metrics(tx, OrgId("acme"), [rate, pay, last])
        await cells.save_metrics(tx, OrgId("acme"), [OrganizationMetric(TURNOVER, THIS_MONTH, 0.2, 11.0)])
    async with idle.app.read(OrgId("acme")) as tx:
        assert await cells.own_metrics(tx, OrgId("acme")) == {TURNOVER: OrganizationMetric(TURNOVER, THIS_MONTH, 0.2, 11.0), PAY: pay}
        assert await cells.own_metrics(tx, OrgId("blue")) == {}
    with pytest.raises(DBAPIError):
        async with idle.app.tx(OrgId("blue")) as tx:
            await cells.save_metrics(tx, OrgId("acme"), [rate])


async def test_metrics_that_are_replaced_leave_none_of_another_name(idle: Service) -> None:
    rate = OrganizationMetric(TURNOVER, THIS_MONTH, 0.25, 10.0)
    pay = OrganizationMetric(PAY, THIS_MONTH, 50_000.0, 10.0, "EUR")
    for replaced in ([rate, pay], [replace(rate, value=0.5)], []):
        async with idle.app.tx(OrgId("acme")) as tx:
            await cells.replace_metrics(tx, OrgId("acme"), replaced)
        async with idle.app.read(OrgId("acme")) as tx:
            assert await cells.own_metrics(tx, OrgId("acme")) == {each.metric: each for each in replaced}


async def test_values_that_are_replaced_take_those_of_earlier_months_along_and_nobody_elses(cluster: Cluster, idle: Service) -> None:
    months = [(THIS_MONTH - timedelta(days=days)).replace(day=1) for days in (0, 40, 400)]
    for org in ("acme", "blue"):
        async with idle.app.tx(OrgId(org)) as tx:
            await cells.save_metrics(tx, OrgId(org), [OrganizationMetric(TURNOVER, month, 0.25, 10.0) for month in months])
    async with idle.app.tx(OrgId("acme")) as tx:
        await cells.replace_metrics(tx, OrgId("acme"), [OrganizationMetric(TURNOVER, THIS_MONTH, 0.5, 10.0)])
    async with superuser(cluster, idle) as connection:
        left = await connection.fetch("SELECT org_id, period, value FROM organization_metrics ORDER BY org_id, period DESC")
    assert [tuple(row) for row in left] == [("acme", THIS_MONTH, 0.5), *(("blue", month, 0.25) for month in months)]


@pytest.mark.parametrize("table", HIDDEN)
async def test_the_role_that_releases_reads_no_table_of_the_tenants(shared: Service, table: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):  # noqa: PT012 - what passed over the failure would fail at the commit
        async with shared.app.db.platform(DbRole.BENCHMARK) as tx:
            await tx.one(text("SELECT set_config('app.org_id', 'acme', true)"))
            await tx.all(text(f"SELECT 1 FROM {table}"))  # noqa: S608 - from the list above


@pytest.mark.parametrize("role", [DbRole.APP, DbRole.DISPATCH, DbRole.TRAINER])
@pytest.mark.parametrize("table", ["benchmark_contributions", "benchmark_members", "benchmark_releases", "benchmark_secret"])
async def test_nobody_else_reads_who_contributes(shared: Service, role: DbRole, table: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with shared.app.db.platform(role) as tx:
            await tx.all(text(f"SELECT 1 FROM {table}"))  # noqa: S608 - from the list above


async def test_what_is_contributed_names_no_organization_and_its_tags_differ_between_metrics(cluster: Cluster, idle: Service) -> None:
    both = [Value("CANARY-org", 0.1), Value("CANARY-org", 5e4, metric=PAY, currency="EUR")]
    await contribute(cluster, idle, both)
    async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
        rows = await tx.all(text("SELECT c.*, c::text AS whole FROM benchmark_contributions c"))
        again = await tx.all(text("SELECT tag FROM benchmark_contributions"))
    assert len({row.tag for row in rows}) == 2
    assert {row.tag for row in rows} == {row.tag for row in again}
    assert not any("CANARY" in row.whole for row in rows)


async def test_a_function_of_the_roles_own_sees_no_row_that_the_view_filters(cluster: Cluster, idle: Service) -> None:
    """Without a security barrier a cheap function in WHERE is asked before the view's own condition."""
    await contribute(cluster, idle, values("a", 3))
    await consent(cluster, idle, ["a-000", "a-001", "a-002"], given=False)
    async with superuser(cluster, idle) as connection:
        await connection.execute(
            "CREATE FUNCTION peek(double precision) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE EXCEPTION 'saw %', $1; END $$"
        )
    async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
        assert await tx.all(text("SELECT 1 FROM benchmark_contributions WHERE peek(value)")) == []
