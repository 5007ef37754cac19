"""A worker that dies in the middle of a night repeats no organization that is marked, and leaves none half done."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from analytics.v1 import fact_service_pb2 as facts

from server import failpoints
from server.identity import OrgId, RunId, UserId
from server.insights.store import take_turn
from server.schedule import store
from server.schedule.calendar import DAILY_METRICS
from server.schedule.model import LeaseLost, Order
from tests.nightly.nights import TODAY, contract, months, nights, pay
from tests.support import live
from tests.support.insights import finding, recorded
from tests.support.leftovers import superuser
from workers import organizations
from workers.nightly import job
from workers.nightly.job import calculate_daily_metrics
from workers.nightly.judge import judge
from workers.nightly.models import Models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from server.db import Tx
    from server.insights.model import Turn
    from server.schedule.model import Claim
    from tests.nightly.nights import Nights
    from tests.support.databases import Cluster
    from workers.nightly.judge import Night

pytestmark = pytest.mark.xdist_group("nightly crashes")

ORGS = [f"org-{place}" for place in range(6)]
HOLD = timedelta(seconds=60)
# Every write of a night, kept by the database itself; what is rolled back is not there.
_WATCH = """
CREATE TABLE written (org text NOT NULL, what text NOT NULL);
GRANT INSERT ON written TO PUBLIC;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO written VALUES (NEW.org_id, TG_TABLE_NAME || coalesce('/' || (to_jsonb(NEW) ->> TG_ARGV[0]), ''));
    RETURN NULL;
END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON insights FOR EACH ROW EXECUTE FUNCTION note('insight_id');
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON organization_metrics FOR EACH ROW EXECUTE FUNCTION note('metric');
CREATE TRIGGER noted AFTER INSERT ON job_run_organizations FOR EACH ROW EXECUTE FUNCTION note('outcome');
"""


class Killed(BaseException):
    """What stands for the end of the process."""


def unheard(_share: float, _words: str) -> None:
    return


@pytest.fixture(scope="module")
async def loaded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nights]:
    """Organizations with a spike, a contract near its end and an old insight that is over; no worker takes their runs."""
    async with nights(cluster, tmp_path_factory.mktemp("crashes"), models=False, worker=False) as made:
        async with superuser(made.cluster, made.service) as connection:
            await connection.execute(_WATCH)
        for org in ORGS:
            await made.load(org, pay(months(160_000.0)))
        yield made


@pytest.fixture
async def fresh(loaded: Nights) -> Nights:
    """The same with nothing but the old insights, and nothing noted."""
    async with superuser(loaded.cluster, loaded.service) as connection:
        for table in ("insights", "organization_metrics", "job_run_organizations", "job_runs", "outbox"):
            await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    for org in ORGS:
        await loaded.load(org, [contract("c-1", TODAY + timedelta(days=20))])
        await recorded(loaded.service.app.db, org, [finding("cost_centre/over")])
    async with superuser(loaded.cluster, loaded.service) as connection:
        await connection.execute("DELETE FROM written")
    return loaded


async def begin(at: Nights) -> Claim:
    async with at.service.app.db.platform() as tx:
        await store.add(tx, RunId(uuid4()), Order(DAILY_METRICS, "", UserId("operator"), "", b"", ""))
    return await claim(at)


async def claim(at: Nights) -> Claim:
    async with at.service.app.db.platform() as tx:
        found = await store.claim(tx, uuid4(), HOLD, [DAILY_METRICS])
    assert found is not None
    return found


async def again(at: Nights) -> None:
    """Let the lease of the dead worker end, and run to the end with another one."""
    await at.clock.advance(HOLD.total_seconds() + 1)
    await calculate_daily_metrics(at.service.app, await claim(at), unheard)


async def written(at: Nights) -> Mapping[str, Counter[str]]:
    """What was committed of each organization, and how often."""
    async with superuser(at.cluster, at.service) as connection:
        rows = await connection.fetch("SELECT org, what FROM written")
    found: dict[str, Counter[str]] = {org: Counter() for org in ORGS}
    for row in rows:
        found[row["org"]][row["what"]] += 1
    return found


def whole(of_one: Counter[str]) -> bool:
    """Whether a night of one organization is there: two found, one withdrawn, a value, the mark, each once."""
    tables = Counter(what.split("/")[0] for what in of_one)
    return set(of_one.values()) <= {1} and tables == Counter(insights=3, organization_metrics=1, job_run_organizations=1)


@asynccontextmanager
async def dying(monkeypatch: pytest.MonkeyPatch, at: int) -> AsyncIterator[None]:
    """Die when the `at`-th organization was dealt with, before anything that comes after it."""
    passed = 0

    async def passing(name: str) -> None:
        nonlocal passed
        passed += name == "schedule.organization_done"
        if passed == at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "passing", passing)
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize("at", range(1, len(ORGS) + 1))
async def test_a_crash_after_any_organization_repeats_none_that_is_marked(fresh: Nights, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    began = await begin(fresh)
    async with dying(monkeypatch, at):
        await calculate_daily_metrics(fresh.service.app, began, unheard)
    before = await written(fresh)
    # Whole or nothing, also of those that the worker was at.
    assert all(whole(of_one) or not of_one for of_one in before.values())
    assert sum(map(whole, before.values())) >= at
    await again(fresh)
    assert all(whole(of_one) for of_one in (await written(fresh)).values())


async def test_control_where_marks_are_written_after_the_work_a_crash_repeats_it(fresh: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unmarked(*_: object) -> None:
        return

    monkeypatch.setattr(job, "mark_done", unmarked)
    monkeypatch.setattr(job, "Done", lambda *, marked: organizations.Done(marked=marked and False))
    began = await begin(fresh)
    async with dying(monkeypatch, 3):
        await calculate_daily_metrics(fresh.service.app, began, unheard)
    await again(fresh)
    assert not all(whole(of_one) for of_one in (await written(fresh)).values())


@pytest.mark.parametrize("step", ["mark_done", "record", "withdraw"])
async def test_a_crash_within_the_transaction_leaves_nothing_of_the_organization(
    fresh: Nights, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    went_on: Callable[..., object] = getattr(job, step)
    calls = 0

    async def dies(*arguments: object) -> object:
        nonlocal calls
        number = calls = calls + 1
        done = await went_on(*arguments)  # type: ignore[misc]  # an async function of the job
        if number == 3:
            raise Killed
        return done

    began = await begin(fresh)
    with monkeypatch.context() as patch:
        patch.setattr(job, step, dies)
        with pytest.raises(Killed):
            await calculate_daily_metrics(fresh.service.app, began, unheard)
    before = await written(fresh)
    assert all(whole(of_one) or not of_one for of_one in before.values())
    assert not all(before.values())
    await again(fresh)
    assert all(whole(of_one) for of_one in (await written(fresh)).values())


async def test_a_worker_whose_run_was_taken_over_writes_nothing(fresh: Nights) -> None:
    old = await begin(fresh)
    await fresh.clock.advance(HOLD.total_seconds() + 1)
    await claim(fresh)
    with pytest.raises(LeaseLost):
        await calculate_daily_metrics(fresh.service.app, old, unheard)
    assert not any((await written(fresh)).values())


async def judged_while_erasing(at: Nights, monkeypatch: pytest.MonkeyPatch, org: str) -> list[int]:
    """Deal with an organization one of whose contracts is erased after it was judged; returns the findings of each judgement."""
    judged = list[int]()

    async def erase_after(_judge: object, *arguments: object) -> Night:
        made = judge(*arguments)  # type: ignore[arg-type]  # as the job calls it
        judged.append(len(made.findings))
        if len(judged) == 1:
            await at.service.facts.DeleteFacts(facts.DeleteFactsRequest(contract_key="c-1"), metadata=live.bearer(org))
        return made

    began = await begin(at)
    with monkeypatch.context() as patch:
        patch.setattr("workers.nightly.job.asyncio.to_thread", erase_after)
        await job._Daily(at.service.app, began, Models()).act(OrgId(org))
    return judged


async def test_facts_that_are_erased_while_they_are_judged_are_read_again(fresh: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await judged_while_erasing(fresh, monkeypatch, ORGS[0]) == [2, 1]
    assert await fresh.kinds(ORGS[0]) == {"payroll_cost_spike"}


async def test_control_without_the_count_of_erasures_what_was_erased_comes_back(fresh: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(tx: Tx, org: OrgId) -> Turn:
        return replace(await take_turn(tx, org), erasures=0)

    monkeypatch.setattr(job, "take_turn", forgetful)
    assert await judged_while_erasing(fresh, monkeypatch, ORGS[1]) == [2]
    assert await fresh.kinds(ORGS[1]) == {"payroll_cost_spike", "contract_expiring"}
