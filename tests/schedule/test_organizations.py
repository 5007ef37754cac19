"""Going through the organizations: each once, a crash goes on where it stopped, one failure takes no other along."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.db.statements import DriverFailure
from server.errors import AnalyticsError, Kind, Reason
from server.identity import OrgId, RunId, UserId
from server.schedule import store
from server.schedule.marks import store as marks
from server.schedule.marks.mark import mark_done
from server.schedule.marks.model import Outcome
from server.schedule.model import LeaseLost, Order
from server.tenants import store as tenants
from tests.schedule.test_ledger import HOLD, waits
from tests.support.until import until_so
from workers import organizations
from workers.organizations import Done, Skipped, for_each_organization

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.app import App
    from server.schedule.model import Claim, Run
    from tests.support.clock import VirtualClock

GONE = DBAPIError("SELECT 1", None, Exception())
TOO_LARGE = DBAPIError("SELECT 1", None, DriverFailure(asyncpg.NumericValueOutOfRangeError("too large")))
JOB = "daily_metrics"
MANY = int(os.environ.get("ORGANIZATIONS", "300"))


class Killed(BaseException):
    """What stands for the end of the process."""


def heard() -> tuple[list[tuple[float, str]], Callable[[float, str], None]]:
    told: list[tuple[float, str]] = []
    return told, lambda share, words: told.append((share, words))


def unheard(_share: float, _words: str) -> None:
    return


async def _orgs(app: App, number: int) -> list[OrgId]:
    orgs = [OrgId(f"org-{place:04}") for place in range(number)]
    for org in orgs:
        async with app.tx(org) as tx:
            await tenants.remember(tx, org)
    return orgs


async def _begin(app: App) -> Claim:
    async with app.db.platform() as tx:
        await store.add(tx, RunId(uuid4()), Order(JOB, "", UserId("operator"), "", b"", ""))
    return await _claim(app)


async def _claim(app: App) -> Claim:
    async with app.db.platform() as tx:
        claim = await store.claim(tx, uuid4(), HOLD, [JOB])
    assert claim is not None
    return claim


async def _run(app: App, claim: Claim) -> Run:
    async with app.db.platform() as tx:
        run = await store.get(tx, claim.run_id)
    assert run is not None
    return run


async def test_each_organization_is_dealt_with_once_and_counted_by_what_came_of_it(app: App) -> None:
    orgs = await _orgs(app, 12)
    claim = await _begin(app)
    acted: Counter[OrgId] = Counter()

    async def act(org: OrgId) -> Done | Skipped:
        acted[org] += 1
        place = orgs.index(org)
        if place == 1:
            raise AnalyticsError(Kind.FAILED_PRECONDITION, Reason.NOT_ENOUGH_TRAINING_DATA, "too little")
        if place == 2:
            message = "CANARY"
            raise ValueError(message)
        return Skipped("NO_FACTS") if place % 3 == 0 else Done()

    told, progress = heard()
    counts = await for_each_organization(app, claim, progress, act)
    assert acted == Counter(orgs)
    assert (counts.total, counts.before, counts.done, counts.failed, counts.skipped) == (12, 0, 6, 2, {"NO_FACTS": 4})
    assert told[0] == (0.0, "0 of 12 organizations")
    assert told[-1] == (1.0, "12 of 12 organizations")
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    async with app.db.platform() as tx:
        found = await marks.page(tx, claim.run_id, Outcome.FAILED, "", 10)
    assert [(mark.entry.org, mark.entry.reason) for mark in found] == [
        ("org-0001", "NOT_ENOUGH_TRAINING_DATA"),
        ("org-0002", "INTERNAL"),
    ]


async def test_without_organizations_the_work_is_done_at_once(app: App) -> None:
    told, progress = heard()
    counts = await for_each_organization(app, await _begin(app), progress, lambda _: pytest.fail("there is nobody"))
    assert (counts.total, told) == (0, [(1.0, "0 of 0 organizations")])


async def test_a_run_that_is_taken_again_goes_on_where_it_stopped_and_repeats_at_most_what_it_was_at(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await _orgs(app, 30)
    claim = await _begin(app)
    acted: Counter[OrgId] = Counter()

    async def act(org: OrgId) -> Done:
        acted[org] += 1
        if acted.total() == 15:
            raise Killed
        return Done()

    with pytest.raises(Killed):
        await for_each_organization(app, claim, unheard, act, at_once=3)
    begun = acted.total()  # with what was at work beside the one that was killed
    marked = await owner.fetchval("SELECT count(*) FROM job_run_organizations")
    assert 1 <= begun - marked <= 3
    await clock.advance(HOLD.total_seconds() + 1)
    again = await _claim(app)
    told, progress = heard()
    counts = await for_each_organization(app, again, progress, act, at_once=3)
    assert (counts.before, counts.total, counts.dealt) == (marked, 30, 30)
    assert told[0] == (marked / 30, f"{marked} of 30 organizations")
    assert len(acted) == 30
    assert acted.total() == 30 + begun - marked


async def test_what_is_marked_in_its_own_transaction_happens_once_even_for_two_workers_at_once(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await _orgs(app, 3)
    await owner.execute("CREATE TABLE effects (org text); GRANT INSERT ON effects TO app")
    old = await _begin(app)
    held, go_on = asyncio.Event(), asyncio.Event()

    async def effect(claim: Claim, org: OrgId, *, slowly: bool) -> Done:
        async with app.tx(org) as tx:
            await mark_done(tx, claim, org)
            await tx.run(text("INSERT INTO effects VALUES (:org)"), {"org": org})
            if slowly:
                held.set()
                await go_on.wait()
        return Done(marked=True)

    first = asyncio.create_task(for_each_organization(app, old, unheard, lambda org: effect(old, org, slowly=True), at_once=1))
    await held.wait()
    await clock.advance(HOLD.total_seconds() + 1)
    new = await _claim(app)
    # The old worker is in the middle of an organization when the new one comes to it, which waits and then leaves it alone.
    second = asyncio.create_task(for_each_organization(app, new, unheard, lambda org: effect(new, org, slowly=False), at_once=1))
    await until_so(lambda: waits(owner))
    go_on.set()
    with pytest.raises(LeaseLost):
        await first
    counts = await second
    assert (counts.total, counts.done) == (3, 3)
    assert await owner.fetch("SELECT org, count(*) FROM effects GROUP BY org HAVING count(*) <> 1") == []
    assert await owner.fetchval("SELECT count(*) FROM effects") == 3


@pytest.mark.parametrize("at", [0.0, 0.5])
async def test_a_run_that_was_given_up_stops_everything(app: App, at: float) -> None:
    await _orgs(app, 10)
    claim = await _begin(app)
    acted = 0

    async def act(_org: OrgId) -> Done:
        nonlocal acted
        acted += 1
        return Done()

    def progress(share: float, _words: str) -> None:
        if share >= at:
            raise LeaseLost

    with pytest.raises(LeaseLost):
        await for_each_organization(app, claim, progress, act, at_once=2)
    assert acted <= 10 * at + 2


async def test_a_worker_whose_lease_ended_marks_nothing_any_more(app: App, clock: VirtualClock, owner: asyncpg.Connection) -> None:
    await _orgs(app, 4)
    old = await _begin(app)
    await clock.advance(HOLD.total_seconds() + 1)
    await _claim(app)

    async def act(_org: OrgId) -> Done:
        return Done()

    with pytest.raises(LeaseLost):
        await for_each_organization(app, old, unheard, act)
    assert await owner.fetchval("SELECT count(*) FROM job_run_organizations") == 0


async def test_a_cancellation_ends_what_is_at_work(app: App) -> None:
    await _orgs(app, 4)
    claim = await _begin(app)
    at_work, ended = asyncio.Event(), 0

    async def act(_org: OrgId) -> Done:
        nonlocal ended
        try:
            at_work.set()
            await asyncio.Event().wait()
        finally:
            ended += 1
        return Done()

    task = asyncio.create_task(for_each_organization(app, claim, unheard, act, at_once=2))
    await at_work.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == 2


async def test_a_passing_failure_is_tried_again_and_a_lasting_one_fails_its_organization(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizations, "_PAUSES_SECONDS", (0.0, 0.0))
    first, second, third = await _orgs(app, 3)
    left = {first: 1, second: 2, third: 3}

    async def act(org: OrgId) -> Done:
        if left[org]:
            left[org] -= 1
            raise GONE
        return Done()

    counts = await for_each_organization(app, await _begin(app), unheard, act)
    assert (counts.done, counts.failed, set(left.values())) == (2, 1, {0})


async def test_a_failure_that_the_data_are_to_blame_for_is_not_tried_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizations, "_PAUSES_SECONDS", (0.0, 0.0))
    await _orgs(app, 1)
    tried = 0

    async def act(_org: OrgId) -> Done:
        nonlocal tried
        tried += 1
        raise TOO_LARGE

    counts = await for_each_organization(app, await _begin(app), unheard, act)
    assert (counts.failed, tried) == (1, 1)


async def test_the_counts_stay_with_a_run_that_ended_when_its_marks_are_forgotten(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    orgs = await _orgs(app, 5)
    claim = await _begin(app)

    async def act(org: OrgId) -> Done | Skipped:
        return Skipped("NO_FACTS") if org == orgs[0] else Done()

    await for_each_organization(app, claim, unheard, act)
    running = await _run(app, claim)
    async with app.db.platform() as tx:
        assert await store.complete(tx, claim, {})
        assert await marks.forget(tx, HOLD) == 0
    await clock.advance(HOLD.total_seconds() + 1)
    async with app.db.platform() as tx:
        assert await marks.forget(tx, HOLD) == 5
    ended = await _run(app, claim)
    assert ended.organizations is not None
    assert ended.organizations == running.organizations
    assert ended.organizations.total == 5
    assert {(each.outcome, each.reason, each.organizations) for each in ended.organizations.counts} == {
        ("DONE", "", 4), ("SKIPPED", "NO_FACTS", 1),
    }  # fmt: skip


async def test_going_through_many_organizations_costs_a_few_milliseconds_each(app: App) -> None:
    await _orgs(app, MANY)
    claim = await _begin(app)

    clock = asyncio.get_running_loop().time
    begun: list[float] = []

    async def act(_org: OrgId) -> Done:
        begun.append(clock())
        return Done()

    await for_each_organization(app, claim, unheard, act)
    # The median of every twenty, and generous: the machine may stand still or be busy with other tests.
    each = statistics.median(end - begin for begin, end in zip(begun, begun[20:], strict=False)) / 20 * 1000
    print(f"{MANY} organizations: {each:.2f} ms each")
    assert each < 20


async def test_pages_of_organizations_are_walked_to_the_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizations, "_PAGE", 4)
    orgs = await _orgs(app, 9)
    acted: list[OrgId] = []

    async def act(org: OrgId) -> Done:
        acted.append(org)
        return Done()

    counts = await for_each_organization(app, await _begin(app), unheard, act)
    assert (counts.total, sorted(acted)) == (9, orgs)
