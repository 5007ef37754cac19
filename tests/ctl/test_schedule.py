"""`analyticsctl schedule`: what runs by the clock, running it now, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.identity import OrgId
from server.schedule.calendar import DAILY_METRICS
from server.tenants import store as tenants
from tests.ctl.terminal import Terminal
from tests.support import environment
from tests.support.live import running
from workers import runs
from workers.organizations import Done, Skipped, for_each_organization

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from server.app import App
    from server.schedule.model import Claim
    from tests.ctl.conftest import Ctl
    from tests.support.databases import Cluster

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


async def _daily(app: App, claim: Claim, progress: Callable[[float, str], None]) -> Mapping[str, object]:
    async def act(org: OrgId) -> Done | Skipped:
        return Skipped("NO_FACTS") if org == "empty" else Done()

    return {"insights_created": (await for_each_organization(app, claim, progress, act)).done}


@pytest.fixture(scope="module", autouse=True)
def jobs() -> Iterator[None]:
    """Workers that know a job of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "JOBS", {DAILY_METRICS: _daily})
        yield


@pytest.fixture(scope="module")
async def terminal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    """A service with a worker and two organizations."""
    folder = tmp_path_factory.mktemp("ctl-schedule")
    database = await cluster.create_database()
    async with running(environment.settings(cluster, database), folder) as service:
        for org in ("full", "empty"):
            async with service.app.tx(OrgId(org)) as tx:
                await tenants.remember(tx, OrgId(org))
        yield Terminal(service, folder)
    await cluster.drop_database(database)


async def test_the_schedule_is_listed_with_what_comes_next_also_for_scripts(terminal: Terminal) -> None:
    ended = await terminal("schedule")
    assert ended.code == 0, ended.err
    for words in ("daily_metrics", "0 3 * * *", "weekly_retraining", "0 2 * * 1", "monthly_benchmarks", "0 1 1 * *", "03:00:00Z"):
        assert words in ended.out
    answer = (await terminal("schedule", "list", "--json")).answer
    assert [each["job"] for each in answer["schedules"]] == ["daily_metrics", "monthly_benchmarks", "weekly_retraining"]
    assert all(each["next_tick_time"] > answer["time"] for each in answer["schedules"])


async def test_a_job_is_run_now_watched_and_told_by_organization(terminal: Terminal) -> None:
    ended = await terminal("schedule", "run", "daily-metrics", "--watch")
    assert ended.code == 0, ended.err
    for words in ("daily_metrics", "COMPLETED", "1 done, 1 skipped, 0 failed of 2", "NO_FACTS", "insights_created"):
        assert words in ended.out
    listed = (await terminal("schedule", "runs", "daily_metrics", "--json")).answer["runs"]
    assert listed[0]["kind"] == "daily_metrics"
    run_id = listed[0]["id"]
    shown = await terminal("schedule", "runs")
    assert "by hand" in shown.out
    assert run_id in shown.out
    watched = (await terminal("schedule", "watch", run_id, "--json")).answer
    assert (watched["state"], watched["organizations"]["done"]) == ("JOB_RUN_STATE_COMPLETED", "1")
    told = (await terminal("schedule", "organizations", run_id, "--json")).answer["organizations"]
    assert [(each["org_id"], each["outcome"], each["reason"]) for each in told] == [
        ("empty", "JOB_RUN_OUTCOME_SKIPPED", "NO_FACTS"),
        ("full", "JOB_RUN_OUTCOME_DONE", ""),
    ]
    assert "full" not in (await terminal("schedule", "organizations", run_id, "--outcome", "skipped")).out


async def test_a_schedule_whose_job_ran_by_hand_has_run(terminal: Terminal) -> None:
    ended = await terminal("schedule", "run", "daily_metrics", "--watch")
    assert ended.code == 0, ended.err
    line = next(line for line in (await terminal("schedule")).out.splitlines() if "daily_metrics" in line)
    assert "COMPLETED, by hand" in line
    assert "never run" not in line


async def test_runs_are_listed_by_a_jobs_name_however_it_is_written(terminal: Terminal) -> None:
    ended = await terminal("schedule", "run", "daily_metrics", "--watch")
    assert ended.code == 0, ended.err
    listed = [(await terminal("schedule", "runs", name, "--json")).answer["runs"] for name in ("daily_metrics", " Daily-Metrics")]
    assert listed[0]
    assert listed[0] == listed[1]


async def test_a_job_that_is_under_way_is_refused_with_what_to_do_then(terminal: Terminal) -> None:
    # No worker here knows this job: it stays unfinished.
    begun = (await terminal("schedule", "run", "monthly_benchmarks", "--json")).answer["id"]
    refused = await terminal("schedule", "run", "monthly_benchmarks")
    assert refused.code == 1
    assert "repeat with `--attach`, or follow it with `analyticsctl schedule watch ID`" in " ".join(refused.err.split())
    assert (await terminal("schedule", "run", "monthly_benchmarks", "--attach", "--json")).answer["id"] == begun


async def test_an_unknown_run_and_a_tenants_token_are_refused(terminal: Terminal) -> None:
    assert (await terminal("schedule", "watch", UNKNOWN_ID, "--json")).error["reason"] == "JOB_RUN_NOT_FOUND"
    assert (await terminal("schedule", "--profile", "tenant", "--json")).error["reason"] == "ROLE_REQUIRED"


def test_a_job_that_does_not_exist_is_wrong_usage_and_the_jobs_are_named(ctl: Ctl) -> None:
    for command in ("run", "runs"):
        ended = ctl("schedule", command, "train")
        assert ended.exit_code == 2
        assert "'train' is none of daily_metrics, weekly_retraining, monthly_benchmarks" in ended.stderr
