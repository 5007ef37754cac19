"""Who leaves at the last moment, and whose facts are erased: in no release that is stored afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from analytics.v1 import tenant_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from server.benchmarks import store as cells
from server.benchmarks.model import OrganizationMetric
from server.benchmarks.publish import publish
from server.benchmarks.releases import store
from server.db.engines import DbRole
from server.errors import AnalyticsError, Reason
from server.identity import OrgId, RunId
from server.schedule.model import Claim
from server.tenants.model import Switches
from server.tenants.store import save_switches
from tests.benchmarks.contributing import THIS_MONTH, TURNOVER, Value, consent, contribute, release, values
from tests.support import live
from tests.support.leftovers import superuser
from tests.support.until import until_so
from workers import benchmarks
from workers.nightly import job
from workers.nightly.judge import Night
from workers.nightly.models import Models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    import asyncpg

    from server.benchmarks.model import Contribution, Earlier, Release, Released
    from server.db import ReadTx, Tx
    from server.events.model import Cause
    from tests.support.databases import Cluster
    from tests.support.live import Service

SCORE = "average_performance_score"


def _leaving_behind(cluster: Cluster, service: Service, orgs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next of the organizations opt out whenever a release has read what it is made of."""
    read = store.contributions

    async def then_one_leaves(tx: ReadTx) -> Sequence[Contribution]:
        rows = await read(tx)
        if orgs:
            await consent(cluster, service, [orgs.pop()], given=False)
        return rows

    monkeypatch.setattr(store, "contributions", then_one_leaves)


async def _counted(cluster: Cluster, service: Service) -> int:
    async with superuser(cluster, service) as connection:
        return int(await connection.fetchval("SELECT coalesce(sum(length(tags)), 0) / 16 FROM benchmark_members"))


async def test_who_opts_out_while_a_release_is_decided_is_not_in_it(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 20))
    _leaving_behind(cluster, idle, ["a-003", "a-007"], monkeypatch)
    assert (await release(idle))["values"] == 18
    assert await _counted(cluster, idle) == 18


async def test_control_without_the_second_look_the_one_who_left_is_in_it(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 20))
    everybody = {row.tag for row in await _contributions(idle)}
    _leaving_behind(cluster, idle, ["a-003"], monkeypatch)

    async def all_of_them(_tx: ReadTx) -> set[bytes]:
        return everybody

    monkeypatch.setattr(store, "contributors", all_of_them)
    assert (await release(idle))["values"] == 20


async def _contributions(service: Service) -> Sequence[Contribution]:
    async with service.app.db.platform(DbRole.BENCHMARK) as tx:
        return await store.contributions(tx)


async def test_where_somebody_leaves_again_and_again_the_run_fails_and_releases_nothing(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 20))
    _leaving_behind(cluster, idle, [f"a-{number:03}" for number in range(9)], monkeypatch)
    with pytest.raises(AnalyticsError) as failed:
        await release(idle)
    assert failed.value.reason is Reason.CONCURRENT_UPDATE
    assert await _counted(cluster, idle) == 0


async def _waits_or(connection: asyncpg.Connection, ended: Callable[[], bool]) -> None:
    """Return once something waits for an advisory lock of this database, or what might wait has ended."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
    )

    async def so() -> bool:
        return ended() or bool(await connection.fetchval(waiting))

    await until_so(so)


async def test_a_switch_that_is_saved_while_a_release_is_being_stored_waits_until_it_is_stored(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contribute(cluster, idle, values("a", 20))
    saving: list[asyncio.Future[pb.UpdateSwitchesResponse]] = []
    early = []
    request = pb.UpdateSwitchesRequest(switches=pb.Switches(), update_mask=FieldMask(paths=["benchmark_contribution"]))

    async with superuser(cluster, idle) as connection:

        async def while_one_leaves(tx: Tx, made: Release, release_id: UUID, before: Earlier, cause: Cause) -> Released:
            saving.append(asyncio.ensure_future(idle.tenants.UpdateSwitches(request, metadata=live.bearer("a-003", "owner"))))
            await _waits_or(connection, saving[0].done)
            early.append(saving[0].done())
            return await publish(tx, made, release_id, before, cause)

        monkeypatch.setattr(benchmarks, "publish", while_one_leaves)
        assert (await release(idle))["values"] == 20
    assert not (await saving[0]).switches.benchmark_contribution
    # It was told that it is off when the release was stored, not before.
    assert early == [False]


async def test_a_release_waits_for_a_switch_that_is_being_saved_and_honours_it(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, values("a", 20))
    leaving = OrgId("a-003")
    async with superuser(cluster, idle) as connection:
        async with idle.app.tx(leaving) as tx:
            assert await save_switches(tx, leaving, Switches(benchmark_contribution=False))
            releasing = asyncio.ensure_future(release(idle))
            await _waits_or(connection, releasing.done)
        assert (await releasing)["values"] == 19
    assert await _counted(cluster, idle) == 19


def _daily(service: Service) -> job._Daily:
    return job._Daily(service.app, Claim(RunId(uuid4()), "daily_metrics", "", uuid4(), ""), Models())


async def _kept(service: Service, org: str) -> set[str]:
    async with service.app.read(OrgId(org)) as tx:
        return set(await cells.own_metrics(tx, OrgId(org)))


async def test_the_night_after_all_facts_were_erased_nothing_of_them_is_contributed(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, [Value("gone", 0.1), Value("gone", 4.0, metric=SCORE), Value("other", 0.1)])
    await _daily(idle).act(OrgId("gone"))
    assert (await _kept(idle, "gone"), await _kept(idle, "other")) == (set(), {TURNOVER})


async def test_a_metric_that_a_night_cannot_compute_any_more_is_forgotten_and_the_others_stay(cluster: Cluster, idle: Service) -> None:
    await contribute(cluster, idle, [Value("acme", 0.1), Value("acme", 4.0, metric=SCORE), Value("other", 4.0, metric=SCORE)])
    night = Night(contributions=[OrganizationMetric(TURNOVER, THIS_MONTH, 0.2, 10.0)])
    await _daily(idle)._write(OrgId("acme"), night, 0, marked=False)
    assert (await _kept(idle, "acme"), await _kept(idle, "other")) == ({TURNOVER}, {SCORE})
