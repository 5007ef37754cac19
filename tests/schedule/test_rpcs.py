"""OperationsService: what runs by the clock, running it now, and what a run did for each organization."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.admin.v1 import operations_service_pb2 as pb
from analytics.v1 import models_pb2

from server.identity import OrgId
from server.lifecycle import end
from server.schedule import store
from server.schedule.calendar import CALENDAR, DAILY_METRICS, MONTHLY_BENCHMARKS, WEEKLY_RETRAINING
from server.schedule.ledger import store as ledger
from server.schedule.marks import store as marks
from server.schedule.marks.model import Entry, Outcome
from server.tenants import store as tenants
from server.training.model import TRAIN
from tests.queue.simulation import add_model
from tests.schedule.test_ledger import set_to
from tests.support import environment, live, runs
from tests.support.refusals import refusal
from tests.support.until import until_so
from tests.support.working import working
from workers import runs as worker_runs
from workers import schedule
from workers.organizations import Done, Skipped, for_each_organization
from workers.schedule import follow_calendar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from server.app import App
    from server.schedule.model import Claim
    from tests.support.clock import VirtualClock
    from tests.support.databases import Cluster
    from tests.support.live import Service

ORGS = ("org-a", "org-b", "org-c", "org-d")
UNKNOWN = "00000000-0000-4000-8000-000000000000"
NOW = pb.RunJobRequest(daily_metrics=pb.DailyMetricsJob())


async def _daily(app: App, claim: Claim, progress: Callable[[float, str], None]) -> Mapping[str, object]:
    """Stands for the daily job: one organization has nothing, one breaks."""

    async def act(org: OrgId) -> Done | Skipped:
        if org == "org-b":
            return Skipped("NO_FACTS")
        if org == "org-c":
            message = "CANARY of org-c"
            raise LookupError(message)
        return Done()

    counts = await for_each_organization(app, claim, progress, act)
    return {"insights_created": counts.done, "organizations_seen": counts.total, "note": "not a count"}


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service without a worker, with four organizations, whose workers know jobs of the test's own."""
    monkeypatch.setattr(worker_runs, "JOBS", {DAILY_METRICS: _daily})
    async with live.running(environment.settings(cluster, database), tmp_path, worker=False) as service:
        for org in ORGS:
            async with service.app.tx(org) as tx:  # type: ignore[arg-type]  # an organization of a test
                await tenants.remember(tx, org)  # type: ignore[arg-type]  # as above
        yield service


async def _schedules(service: Service) -> dict[str, pb.Schedule]:
    answer = await service.operations.ListSchedules(pb.ListSchedulesRequest(), metadata=live.operator())
    return {schedule.job: schedule for schedule in answer.schedules}


async def _organizations(service: Service, run_id: str, **wanted: object) -> pb.ListJobRunOrganizationsResponse:
    request = pb.ListJobRunOrganizationsRequest(run_id=run_id, **wanted)  # type: ignore[arg-type]  # its fields
    return await service.operations.ListJobRunOrganizations(request, metadata=live.operator())


async def test_a_run_by_hand_says_what_came_of_the_organizations(idle: Service) -> None:
    run = await runs.start(idle, NOW)
    assert (run.kind, run.WhichOneof("job"), run.HasField("scheduled_for")) == (DAILY_METRICS, DAILY_METRICS, False)
    assert not run.HasField("organizations")
    async with working(idle):
        ended = await runs.ended(idle, run.id)
    assert ended.state == pb.JOB_RUN_STATE_COMPLETED
    found = ended.organizations
    assert (found.total, found.done, found.skipped, found.failed) == (4, 2, 1, 1)
    assert {(each.outcome, each.reason, each.organizations) for each in found.reasons} == {
        (pb.JOB_RUN_OUTCOME_SKIPPED, "NO_FACTS", 1),
        (pb.JOB_RUN_OUTCOME_FAILED, "INTERNAL", 1),
    }
    assert dict(ended.daily_metrics_result.counts) == {"insights_created": 2, "organizations_seen": 4}
    assert b"CANARY" not in ended.SerializeToString()


async def test_the_outcomes_of_a_run_are_listed_by_organization_in_pages_and_by_outcome(idle: Service) -> None:
    run = await runs.start(idle, NOW)
    async with working(idle):
        await runs.ended(idle, run.id)
    first = await _organizations(idle, run.id, page_size=3)
    rest = await _organizations(idle, run.id, page_size=3, page_token=first.next_page_token)
    assert [each.org_id for each in (*first.organizations, *rest.organizations)] == list(ORGS)
    assert rest.next_page_token == ""
    (failed,) = (await _organizations(idle, run.id, outcome=pb.JOB_RUN_OUTCOME_FAILED)).organizations
    assert (failed.org_id, failed.reason, failed.HasField("time")) == ("org-c", "INTERNAL", True)
    refused = await refusal(_organizations(idle, run.id, page_token=first.next_page_token, outcome=pb.JOB_RUN_OUTCOME_DONE))
    assert refused.reason == "PAGE_TOKEN_INVALID"
    assert (await refusal(_organizations(idle, UNKNOWN))).reason == "JOB_RUN_NOT_FOUND"
    assert set((await refusal(_organizations(idle, run.id, outcome=9))).fields) == {"outcome"}


async def test_the_latest_run_of_a_schedule_is_the_newest_of_its_job_begun_by_hand_too(idle: Service) -> None:
    assert not (await _schedules(idle))[DAILY_METRICS].HasField("latest_run")
    run = await runs.start(idle, NOW)
    found = await _schedules(idle)
    assert (found[DAILY_METRICS].latest_run, found[DAILY_METRICS].HasField("latest_tick_time")) == (run, False)
    assert not found[MONTHLY_BENCHMARKS].HasField("latest_run")


async def test_a_job_counts_what_was_left_to_the_worker_that_ended_the_run_and_the_run_counts_all_organizations(
    idle: Service, clock: VirtualClock
) -> None:
    run = await runs.start(idle, NOW)
    async with idle.app.db.platform() as tx:
        lost = await store.claim(tx, uuid4(), timedelta(minutes=1), [DAILY_METRICS])
        assert lost is not None
        await marks.record(tx, lost, [Entry(OrgId("org-a"), Outcome.DONE)])
    await clock.advance(61)
    async with working(idle):
        ended = await runs.ended(idle, run.id)
    assert (ended.organizations.done, ended.organizations.total) == (2, 4)
    assert ended.daily_metrics_result.counts["insights_created"] == 1


async def test_a_second_run_of_a_job_is_refused_while_one_is_unfinished(idle: Service) -> None:
    run = await runs.start(idle, NOW)
    refused = await refusal(runs.start(idle, NOW))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "JOB_RUN_EXISTS")
    assert refused.status.message == "a run of daily_metrics is not finished; watch it or wait for its end"
    other = await runs.start(idle, pb.RunJobRequest(monthly_benchmarks=pb.MonthlyBenchmarksJob()))
    assert other.id != run.id
    # No worker of this release knows the other job: its run waits for one that does.
    async with working(idle):
        await runs.ended(idle, run.id)
        assert (await runs.get(idle, other.id)).state == pb.JOB_RUN_STATE_QUEUED


async def test_schedules_are_listed_with_their_ticks_and_the_run_of_the_latest(
    idle: Service, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_LOOK_EVERY_SECONDS", 0.05)
    await set_to(clock, "2026-03-10 12:00")
    before = await _schedules(idle)
    assert list(before) == sorted(schedule.job for schedule in CALENDAR)
    assert {job: (each.cron, f"{each.next_tick_time.ToDatetime():%m-%d %H:%M}") for job, each in before.items()} == {
        DAILY_METRICS: ("0 3 * * *", "03-11 03:00"),
        WEEKLY_RETRAINING: ("0 2 * * 1", "03-16 02:00"),
        MONTHLY_BENCHMARKS: ("0 1 1 * *", "04-01 01:00"),
    }
    assert not any(each.HasField("latest_run") or each.HasField("waiting_tick_time") for each in before.values())
    following = asyncio.create_task(follow_calendar(idle.app))
    try:
        async with working(idle):
            await _until(idle, lambda daily: daily.HasField("latest_run"), clock, "2026-03-11 03:00")
            run = (await _schedules(idle))[DAILY_METRICS].latest_run
            ended = await runs.ended(idle, run.id)
    finally:
        await end(following)
    daily = (await _schedules(idle))[DAILY_METRICS]
    assert (daily.latest_run, ended.state) == (ended, pb.JOB_RUN_STATE_COMPLETED)
    assert daily.latest_tick_time == ended.scheduled_for
    assert f"{ended.scheduled_for.ToDatetime():%m-%d %H:%M}" == "03-11 03:00"
    # Nobody takes the next one: it is shown as waiting.
    await set_to(clock, "2026-03-12 09:00")
    daily = (await _schedules(idle))[DAILY_METRICS]
    assert f"{daily.waiting_tick_time.ToDatetime():%m-%d %H:%M}" == "03-12 03:00"


async def _until(service: Service, condition: Callable[[pb.Schedule], bool], clock: VirtualClock, text: str) -> None:
    """Let the schedule be seen, then set the clock and wait."""

    async def seen() -> bool:
        async with service.app.db.platform() as tx:
            return all(standing.first_seen for standing in await ledger.look(tx, [CALENDAR[0]]))

    async def so() -> bool:
        return condition((await _schedules(service))[DAILY_METRICS])

    await until_so(seen)
    await set_to(clock, text)
    await until_so(so)


async def test_the_result_of_a_retraining_shows_versions_and_why_a_type_has_none(
    cluster: Cluster, database: str, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = str(await add_model(cluster, database))

    async def retraining(_app: App, _claim: Claim, _progress: object) -> Mapping[str, object]:
        active = {"model_type": "turnover_prediction", "model_id": model_id, "activated": True}
        without = {"model_type": "contract_risk", "model_id": "", "version": "", "state": "", "activated": False}
        return {"types": [active, {**without, "reason": "12 rows; at least 200 are needed"}]}

    monkeypatch.setattr(worker_runs, "JOBS", {WEEKLY_RETRAINING: retraining})
    run = await runs.start(idle, pb.RunJobRequest(weekly_retraining=pb.WeeklyRetrainingJob()))
    async with working(idle):
        ended = await runs.ended(idle, run.id)
    first, second = ended.weekly_retraining_result.types
    assert (first.model.id, first.activated, first.reason) == (model_id, True, "")
    assert (second.model_type, second.HasField("model")) == (models_pb2.MODEL_TYPE_CONTRACT_RISK, False)
    assert second.reason == "12 rows; at least 200 are needed"


async def test_runs_are_listed_by_kind(idle: Service) -> None:
    made = [
        await runs.start(idle, request) for request in (runs.order(), NOW, pb.RunJobRequest(weekly_retraining=pb.WeeklyRetrainingJob()))
    ]

    async def listed(*kinds: str) -> list[str]:
        answer = await idle.operations.ListJobRuns(pb.ListJobRunsRequest(kinds=kinds), metadata=live.operator())
        return [run.kind for run in answer.runs]

    assert await listed() == [run.kind for run in reversed(made)] == [WEEKLY_RETRAINING, DAILY_METRICS, TRAIN]
    assert await listed(DAILY_METRICS, TRAIN) == [DAILY_METRICS, TRAIN]
    assert await listed("unheard_of") == []


async def test_a_long_run_does_not_hold_up_a_training(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = runs.Job(), runs.Job()
    monkeypatch.setattr(worker_runs, "JOBS", {DAILY_METRICS: long, TRAIN: short})
    short.may_end.set()
    daily = await runs.start(idle, NOW)
    async with working(idle):
        await long.began.wait()
        training = await runs.start(idle)
        assert (await runs.ended(idle, training.id)).state == pb.JOB_RUN_STATE_COMPLETED
        assert (await runs.get(idle, daily.id)).state == pb.JOB_RUN_STATE_RUNNING
        long.may_end.set()
        await runs.ended(idle, daily.id)
