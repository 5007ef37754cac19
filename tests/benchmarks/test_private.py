"""The private mode: noise by OpenDP, a budget that nobody overspends, and the last private release where it is spent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import text

from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import Place, Sheet
from server.benchmarks.publish import publish
from server.benchmarks.releases import store
from server.db import pool
from server.db.engines import DbRole
from server.errors import AnalyticsError, Kind, Reason
from server.settings import load
from server.stats.private_quantiles import private_quartiles, quantile
from server.stats.quartiles import SHARES, Grid, quartiles
from server.tenants.model import Industry, SizeRange
from tests.benchmarks.contributing import TURNOVER, Value, contribute, release, values
from tests.support import environment, live
from tests.support.leftovers import superuser
from workers import benchmarks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    import asyncpg

    from server.benchmarks.model import Earlier, Release, Released
    from server.db import Tx
    from server.events.model import Cause
    from tests.support.databases import Cluster
    from tests.support.live import Service

GRID = BY_NAME[TURNOVER].grid
CELLS = [(Sheet(TURNOVER, ""), Place(industry, SizeRange.FROM_50)) for industry in (Industry.RETAIL, Industry.FINANCE)]
WHOLE = """
SELECT percentile50, epsilon, withheld, last_updated FROM shared_benchmark_cells
WHERE metric = $1 AND industry = '' AND size_range = ''
"""
OF_TECHNOLOGY = """
SELECT epsilon, percentile50 FROM shared_benchmark_cells
WHERE metric = $1 AND industry = 'technology' AND size_range = '50-200'
"""


@pytest.fixture
async def private(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service in private mode with a budget of two releases a year."""
    settings = environment.settings(cluster, database, benchmark_private=True, benchmark_epsilon=0.5, benchmark_epsilon_per_year=1.2)
    async with live.running(settings, tmp_path, worker=False) as made:
        yield made


def test_it_is_off_unless_it_is_switched_on() -> None:
    assert load().benchmark_private is False


def test_opendp_says_that_the_three_quartiles_cost_what_is_charged() -> None:
    for epsilon in (0.1, 1.0):
        measured = [float(quantile(GRID, share, epsilon / 3).map(1)) for share in SHARES]  # type: ignore[no-untyped-call]  # OpenDP has no types there
        assert sum(measured) <= epsilon * (1 + 1e-9)
        # It is not less than asked for either: no more noise than needed.
        assert sum(measured) > epsilon * 0.99


def test_figures_are_grid_points_in_order_near_the_plain_ones_and_differ_from_draw_to_draw() -> None:
    mine = np.random.default_rng(0).gamma(4, 0.05, 400)
    points = set(GRID.points().tolist())
    drawn = [private_quartiles(list(mine), GRID, 1.0) for _ in range(40)]
    noisy = {private_quartiles(list(mine), GRID, 0.1) for _ in range(40)}
    assert all(set(figures) <= points and list(figures) == sorted(figures) for figures in drawn)
    assert len(noisy) > 10
    assert np.median(np.array(drawn), axis=0) == pytest.approx(quartiles(list(mine), GRID), abs=0.02)


def test_less_privacy_budget_is_more_noise() -> None:
    mine = list(np.random.default_rng(0).gamma(4, 0.05, 200))
    spread = {epsilon: np.std([private_quartiles(mine, GRID, epsilon)[1] for _ in range(30)]) for epsilon in (0.05, 5.0)}
    assert spread[0.05] > 2 * spread[5.0]


def test_one_organization_more_hardly_changes_the_odds() -> None:
    """Odds of the answers with and without an organization, estimated by drawing: at most e^epsilon apart, but for chance."""
    mine = [0.1] * 60 + [0.3] * 60
    epsilon, draws = 1.5, 3000
    one, other = quantile(Grid(0.0, 0.4, 0.05), 0.5, epsilon), np.array(mine)
    counts = []
    for rows in (other, other[:-1]):
        got = np.array([one(rows.tolist()) for _ in range(draws)])
        counts.append(np.histogram(got, bins=[0, 0.075, 0.125, 0.175, 0.225, 0.275, 0.325, 1])[0] + 1)
    ratios = counts[0] / counts[1]
    enough = counts[0] + counts[1] > 300
    assert enough.any()
    assert ratios[enough].max() < np.exp(epsilon) * 1.3
    assert ratios[enough].min() > np.exp(-epsilon) / 1.3


def test_opendp_is_not_imported_before_it_is_asked() -> None:
    program = "import sys, server.stats.private_quantiles, workers.benchmarks, server.rpc.services; print('opendp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


async def _whole(connection: asyncpg.Connection) -> tuple[object, ...]:
    return tuple(await connection.fetchrow(WHOLE, TURNOVER))  # type: ignore[arg-type]  # there is one


async def test_large_cells_get_noise_until_the_budget_is_spent_and_small_ones_none(cluster: Cluster, private: Service) -> None:
    rows = [*values("a", 95), *values("b", 30, "retail")]
    await contribute(cluster, private, rows)
    async with superuser(cluster, private) as connection:
        shown = []
        for _ in range(3):
            await release(private)
            shown.append(await _whole(connection))
        small = await connection.fetchrow(OF_TECHNOLOGY, TURNOVER)
        budget = await connection.fetch("SELECT industry, size_range, epsilon FROM benchmark_privacy_budget")
    assert [figures[1:3] for figures in shown] == [(0.5, "")] * 3
    # The third release had no budget: it shows the second, with its time.
    assert shown[2] == shown[1] != shown[0]
    assert small is not None
    assert (small["epsilon"], float(small["percentile50"])) == (None, 0.57)
    assert sorted((row["industry"], row["size_range"], float(row["epsilon"])) for row in budget) == [("", "", 1.0), ("", "50-200", 1.0)]


async def test_a_cell_whose_budget_was_spent_before_it_was_private_is_withheld(cluster: Cluster, private: Service) -> None:
    await contribute(cluster, private, values("a", 120))
    async with superuser(cluster, private) as connection:
        await connection.execute("INSERT INTO benchmark_privacy_budget SELECT extract(year FROM now()), $1, '', '', '', 1.0", TURNOVER)
        await release(private)
        assert (await _whole(connection))[:3] == (None, None, "budget_spent")


async def test_a_release_that_another_came_before_is_paid_once(cluster: Cluster, private: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0

    async def another_first(tx: Tx, made: Release, release_id: UUID, before: Earlier, cause: Cause) -> Released:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another came first")
        return await publish(tx, made, release_id, before, cause)

    monkeypatch.setattr(benchmarks, "publish", another_first)
    await contribute(cluster, private, values("a", 120))
    await release(private)
    async with superuser(cluster, private) as connection:
        spent = await connection.fetch("SELECT epsilon FROM benchmark_privacy_budget")
        assert (await _whole(connection))[1:3] == (0.5, "")
    assert rounds == 3
    assert {float(row["epsilon"]) for row in spent} == {0.5}


async def test_a_budget_is_not_overspent_by_releases_at_once(cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # The last of them wait for all others: for two connections, and for the same rows.
    monkeypatch.setattr(pool, "POOL_WAIT_SECONDS", 60.0)

    async def spend() -> int:
        async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
            return len(await store.spend(tx, CELLS, 0.1, 1.0))

    granted = await asyncio.gather(*(spend() for _ in range(40)))
    assert sum(granted) == 2 * 10
    async with superuser(cluster, idle) as connection:
        spent = await connection.fetch("SELECT epsilon FROM benchmark_privacy_budget")
    assert [float(row["epsilon"]) for row in spent] == [1.0, 1.0]


async def test_control_without_the_look_at_the_sum_the_budget_is_overspent(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = store._SPEND.text.replace("b.epsilon + excluded.epsilon <= CAST(:most AS numeric(12, 6))", "true")
    assert broken != store._SPEND.text
    monkeypatch.setattr(store, "_SPEND", text(broken).bindparams(*store._SPEND._bindparams.values()))
    async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
        for _ in range(12):
            await store.spend(tx, CELLS, 0.1, 1.0)
    async with superuser(cluster, idle) as connection:
        assert float(await connection.fetchval("SELECT max(epsilon) FROM benchmark_privacy_budget")) > 1.0


async def test_a_price_above_the_budget_is_never_granted_and_a_rolled_back_one_is_not_charged(cluster: Cluster, idle: Service) -> None:
    async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
        assert await store.spend(tx, CELLS, 1.5, 1.0) == set()
    with pytest.raises(RuntimeError):  # noqa: PT012 - what is undone
        async with idle.app.db.platform(DbRole.BENCHMARK) as tx:
            assert await store.spend(tx, CELLS, 1.0, 1.0) == set(CELLS)
            raise RuntimeError
    async with superuser(cluster, idle) as connection:
        assert await connection.fetchval("SELECT count(*) FROM benchmark_privacy_budget") == 0


async def test_a_private_cell_says_what_it_cost_at_every_level(cluster: Cluster, private: Service) -> None:
    await contribute(cluster, private, [Value(f"a-{number}", 0.2) for number in range(110)])
    await release(private)
    async with superuser(cluster, private) as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM shared_benchmark_cells WHERE epsilon = 0.5 AND contributors = '100-499'") == 4
        )
