"""The relay: one place per event in its organization's sequence, once, whatever crashes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.db import Database
from server.db.engines import DbRole
from server.events.benchmarks import BenchmarkUpdated
from server.events.model import topic
from server.events.models import ModelActivated
from server.events.relay import loop, store
from server.events.relay.loop import Relay
from server.identity import ModelId, OrgId
from server.lifecycle import end
from server.tenants import store as tenants
from tests.support import environment
from tests.support.clock import VirtualClock
from tests.support.telling import an_event, uuids
from tests.support.until import until_so

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.telling import Bed

ORGS = ("a", "b", "c")
WEEK = 7 * 86_400


def activated() -> ModelActivated:
    return ModelActivated(ModelId(uuid4()), "turnover_prediction", "1.0.0")


@pytest.mark.parametrize("seed", range(4))
async def test_each_organization_has_its_events_in_the_order_of_writing_numbered_without_a_gap(bed: Bed, seed: int) -> None:
    dice = random.Random(seed)
    written: dict[str, list[str]] = {org: [] for org in ORGS}
    for _ in range(30):
        org = dice.choice(ORGS)
        written[org] += await bed.tell(org, *(an_event() for _ in range(dice.randint(1, 4))))
        if dice.random() < 0.3:
            async with bed.db.platform(DbRole.RELAY) as tx:
                await store.publish(tx, dice.randint(1, 7))
    await bed.relay.drain()
    assert {org: await bed.ids(org) for org in ORGS} == written
    assert await bed.admin.fetchval("SELECT count(*) FROM outbox") == 0


async def test_what_is_written_twice_is_published_once_before_and_after_the_relay_took_it(bed: Bed) -> None:
    event, other = an_event(), an_event()
    first = await bed.tell("a", event)
    assert await bed.tell("a", event, event) == first * 2
    await bed.relay.drain()
    await bed.tell("a", event)
    second = await bed.tell("a", other)
    await bed.relay.drain()
    assert await bed.ids("a") == [*first, *second]
    assert await bed.admin.fetchval("SELECT count(*) FROM outbox") == 0


async def test_the_same_change_in_two_organizations_is_two_events(bed: Bed) -> None:
    event = an_event()
    await bed.tell("a", event)
    await bed.tell("b", event)
    await bed.relay.drain()
    assert (await bed.ids("a")) != (await bed.ids("b"))
    assert (len(await bed.ids("a")), len(await bed.ids("b"))) == (1, 1)


async def test_two_relays_at_once_publish_everything_once(
    bed: Bed, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.publish, "__defaults__", (5,))
    monkeypatch.setattr(store, "BATCH", 5)
    second = Database(environment.settings(cluster, database), bed.bell.ring)
    relays = [asyncio.create_task(Relay(db, bed.bell, tenants.organizations).run()) for db in (bed.db, second)]
    written: dict[str, list[str]] = {org: [] for org in ORGS}

    async def write(org: str) -> None:
        for _ in range(60):
            written[org] += await bed.tell(org, an_event(), an_event())

    async def empty() -> bool:
        return bool(await bed.admin.fetchval("SELECT count(*) = 0 FROM outbox"))

    await asyncio.gather(*map(write, ORGS))
    await until_so(empty)
    await end(*relays)
    await second.close()
    assert {org: await bed.ids(org) for org in ORGS} == written


async def test_while_one_relay_is_at_it_another_does_nothing_and_control_afterwards_it_does(bed: Bed) -> None:
    written = await bed.tell("a", an_event())
    await bed.tell_all(activated())
    await bed.appear("b")
    async with bed.db.platform(DbRole.RELAY) as tx:
        assert await store.lock(tx)
        await bed.relay.drain()
        await bed.relay.purge()
    assert (await bed.ids("a"), await bed.ids("b")) == ([], [])
    await bed.relay.drain()
    assert (await bed.ids("a"), len(await bed.ids("b"))) == (written, 1)


async def test_a_relay_that_dies_before_its_commit_leaves_everything_to_the_next(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    written = await bed.tell("a", an_event(), an_event())

    async def die(name: str) -> None:
        raise failpoints.FailPointReached(name)

    with monkeypatch.context() as broken:
        broken.setattr(failpoints, "passing", die)
        with pytest.raises(failpoints.FailPointReached):
            await bed.relay.drain()
    assert await bed.ids("a") == []
    await bed.relay.drain()
    assert await bed.ids("a") == written


async def test_readers_hear_of_what_was_published_and_not_of_what_was_rolled_back(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    await bed.tell("a", an_event())

    async def die(name: str) -> None:
        if name.startswith("relay."):
            raise failpoints.FailPointReached(name)

    with bed.bell.waiting(topic(OrgId("a"))) as rung:
        with monkeypatch.context() as broken:
            broken.setattr(failpoints, "passing", die)
            with pytest.raises(failpoints.FailPointReached):
                await bed.relay.drain()
        assert not rung.is_set()
        await bed.relay.drain()
        assert rung.is_set()


async def test_a_relay_whose_database_fails_goes_on(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    written = await bed.tell("a", an_event())
    real, failures = store.publish, [SQLAlchemyError("gone"), RuntimeError("a defect")]

    async def publish(*arguments: object) -> store.Batch:
        if failures:
            bed.bell.wake("outbox")
            raise failures.pop()
        return await real(*arguments)  # type: ignore[arg-type]  # handed on as they come

    monkeypatch.setattr(store, "publish", publish)
    task = asyncio.create_task(bed.relay.run())

    async def there() -> bool:
        return await bed.ids("a") == written

    await until_so(there)
    await end(task)
    assert failures == []


async def test_what_concerns_everybody_reaches_every_organization_once_between_its_own_events(bed: Bed) -> None:
    await bed.appear("a", "b")
    await bed.tell("a", an_event())
    await bed.relay.drain()
    event = activated()
    await bed.tell_all(event)
    await bed.tell_all(event)
    await bed.relay.drain()
    await bed.tell("a", an_event())
    await bed.relay.drain()
    found = {org: await bed.read(org) for org in ("a", "b")}
    assert [each.type for each in found["a"]] == ["prediction.completed", "model.activated", "prediction.completed"]
    assert [each.type for each in found["b"]] == ["model.activated"]
    assert found["a"][1].event_id == found["b"][0].event_id
    assert [each.sequence for each in found["a"]] == [1, 2, 3]


async def test_an_organization_that_appears_later_gets_later_events_only(bed: Bed) -> None:
    await bed.appear("a")
    await bed.tell_all(activated())
    await bed.relay.drain()
    await bed.appear("z")
    await bed.tell_all(BenchmarkUpdated(1, 40, 2))
    await bed.relay.drain()
    assert [each.type for each in await bed.read("a")] == ["model.activated", "benchmark.updated"]
    assert [each.type for each in await bed.read("z")] == ["benchmark.updated"]


async def test_a_copy_to_all_that_was_broken_off_goes_on_where_it_stopped(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_ORGANIZATIONS", 2)
    orgs = ["o1", "o2", "o3", "o4", "o5"]
    await bed.appear(*orgs)
    for _ in range(2):
        await bed.tell_all(activated())
    assert await bed.relay.publish()
    assert [len(await bed.ids(org)) for org in orgs] == [1, 1, 0, 0, 0]
    await Relay(bed.db, bed.bell, tenants.organizations).drain()
    found = [uuids(await bed.read(org)) for org in orgs]
    assert all(len(each) == 2 and each == found[0] for each in found)
    assert not await bed.relay.publish()


async def test_events_over_a_week_old_are_purged_oldest_first_and_numbers_go_on(
    bed: Bed, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.purge, "__defaults__", (3,))
    monkeypatch.setattr(store, "BATCH", 3)
    clock = await VirtualClock.install(cluster, database)
    await bed.tell("a", *(an_event() for _ in range(8)))
    await bed.relay.drain()
    await clock.advance(WEEK - 1)
    kept = await bed.tell("a", an_event())
    await bed.relay.drain()
    await bed.relay.purge()
    assert len(await bed.ids("a")) == 9
    await clock.advance(2)
    async with bed.db.platform(DbRole.RELAY) as tx:
        assert await store.purge(tx) == 3
    assert [each.sequence for each in await bed.read("a", 3)] == [4, 5, 6, 7, 8, 9]
    await bed.relay.purge()
    assert await bed.ids("a", 8) == kept
    fresh = await bed.tell("a", an_event())
    await bed.relay.drain()
    assert await bed.ids("a", 8) == [*kept, *fresh]
    await clock.close()
