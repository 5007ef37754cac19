"""Runs of background jobs: one per job and scope at a time, taken by one worker, ended once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.admin.v1 import operations_service_pb2 as pb
from analytics.v1 import models_pb2
from google.rpc import code_pb2, error_details_pb2

import server
from server.db import about
from tests.support import live, runs
from tests.support.leftovers import superuser
from tests.support.refusals import read, refusal
from tests.support.until import until_so
from tests.support.working import working
from workers.runs import RunWorker

if TYPE_CHECKING:
    from server.schedule.model import Claim
    from tests.support.databases import Cluster
    from tests.support.live import Service
    from tests.support.runs import Job

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNKNOWN = "00000000-0000-4000-8000-000000000000"
QUEUED, RUNNING, COMPLETED, FAILED = (
    pb.JOB_RUN_STATE_QUEUED, pb.JOB_RUN_STATE_RUNNING, pb.JOB_RUN_STATE_COMPLETED, pb.JOB_RUN_STATE_FAILED,
)  # fmt: skip
ABANDONED = (
    "UPDATE job_runs SET state = 'RUNNING', attempt = $2, lease = gen_random_uuid(), lease_until = now() - interval '1 s' WHERE run_id = $1"
)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Job:
    """Stands for the training."""
    return runs.instead_of_training(monkeypatch)


async def test_a_run_is_queued_then_run_with_progress_then_completed(idle: Service, job: Job) -> None:
    run = await runs.start(idle)
    assert (run.state, run.progress, run.train.model_type) == (QUEUED, 0.0, models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    assert not run.HasField("start_time")
    watched = asyncio.create_task(runs.told(idle, run.id))
    async with working(idle):
        await job.began.wait()
        await until_so(lambda: _progress_is(idle, run.id, 0.25))
        job.may_end.set()
        told = await watched
    assert [each.state for each in told] == sorted(each.state for each in told)
    assert len({each.revision for each in told}) == len(told)
    last = told[-1]
    assert (last.state, last.progress) == (COMPLETED, 1.0)
    assert last.create_time.ToNanoseconds() <= last.start_time.ToNanoseconds() <= last.complete_time.ToNanoseconds()
    assert await runs.get(idle, run.id) == last


async def _progress_is(service: Service, run_id: str, progress: float) -> bool:
    return (await runs.get(service, run_id)).progress == progress


async def test_a_second_run_of_the_same_job_and_scope_is_refused_and_names_the_first(service: Service, job: Job) -> None:
    run = await runs.start(service)
    await job.began.wait()
    for _ in range(2):
        refused = await refusal(runs.start(service, runs.order(request_id=str(uuid4()))))
        assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "JOB_RUN_EXISTS")
        named = refused.detail(error_details_pb2.ResourceInfo)
        assert (named.resource_type, named.resource_name) == ("job_run", run.id)
    # Another scope is another run.
    other = await runs.start(service, runs.order(models_pb2.MODEL_TYPE_CONTRACT_RISK))
    job.may_end.set()
    assert (await runs.ended(service, run.id)).state == COMPLETED
    assert (await runs.ended(service, other.id)).state == COMPLETED
    assert (await runs.start(service)).id != run.id


async def test_of_runs_asked_for_at_once_exactly_one_is_queued(idle: Service) -> None:
    answers = await asyncio.gather(*(runs.start(idle) for _ in range(8)), return_exceptions=True)
    (queued,) = [answer for answer in answers if isinstance(answer, pb.JobRun)]
    refused = [read(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert {each.reason for each in refused} == {"JOB_RUN_EXISTS"}
    assert {each.detail(error_details_pb2.ResourceInfo).resource_name for each in refused} == {queued.id}


async def test_a_retry_with_the_same_id_gets_the_run_it_made_also_at_once(service: Service, job: Job) -> None:
    request = runs.order(request_id=str(uuid4()))
    at_once = await asyncio.gather(*(runs.start(service, request) for _ in range(8)))
    assert len({run.id for run in at_once}) == 1
    job.may_end.set()
    await runs.ended(service, at_once[0].id)
    assert (await runs.start(service, request)).id == at_once[0].id
    other = runs.order(models_pb2.MODEL_TYPE_CONTRACT_RISK, request.request_id)
    refused = await refusal(runs.start(service, other))
    assert (refused.code, refused.reason, set(refused.fields)) == (INVALID, "IDEMPOTENCY_KEY_REUSED", {"request_id"})
    assert job.calls == 1


async def test_a_run_whose_worker_vanished_is_taken_again(cluster: Cluster, idle: Service, job: Job) -> None:
    run = await runs.start(idle)
    async with superuser(cluster, idle) as connection:
        await connection.execute(ABANDONED, run.id, 2)
        job.may_end.set()
        async with working(idle):
            assert (await runs.ended(idle, run.id)).state == COMPLETED
        assert await connection.fetchval("SELECT attempt FROM job_runs WHERE run_id = $1", run.id) == 3


async def test_a_run_that_ended_its_worker_three_times_is_buried(cluster: Cluster, idle: Service, job: Job) -> None:
    run = await runs.start(idle)
    async with superuser(cluster, idle) as connection:
        await connection.execute(ABANDONED, run.id, 3)
    async with working(idle):
        buried = await runs.ended(idle, run.id)
    assert (buried.state, runs.reason(buried), buried.error.code) == (FAILED, "POISON", code_pb2.ABORTED)
    assert job.calls == 0
    assert (await runs.start(idle)).state == QUEUED


async def test_a_worker_that_shuts_down_hands_its_run_on_and_the_attempt_does_not_count(cluster: Cluster, idle: Service, job: Job) -> None:
    run = await runs.start(idle)
    async with working(idle):
        await job.began.wait()
    assert (await runs.get(idle, run.id)).state == QUEUED
    async with superuser(cluster, idle) as connection:
        assert await connection.fetchval("SELECT attempt FROM job_runs WHERE run_id = $1", run.id) == 0
    job.may_end.set()
    async with working(idle):
        assert (await runs.ended(idle, run.id)).state == COMPLETED


async def test_a_worker_that_is_cancelled_again_while_it_hands_its_run_on_hands_it_on_first(
    idle: Service, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await runs.start(idle)
    release, begun, may_end, done = RunWorker._release, asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(self: RunWorker, claim: Claim) -> None:
        begun.set()
        await may_end.wait()
        await release(self, claim)
        done.set()

    monkeypatch.setattr(RunWorker, "_release", slow)
    lane = asyncio.create_task(RunWorker(idle.app)._lane())
    await job.began.wait()
    lane.cancel()
    await begun.wait()
    lane.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await lane
    assert done.is_set()
    assert (await runs.get(idle, run.id)).state == QUEUED


async def test_two_workers_run_a_run_once(idle: Service, job: Job) -> None:
    run = await runs.start(idle)
    job.may_end.set()
    async with working(idle), working(idle), working(idle):
        assert (await runs.ended(idle, run.id)).state == COMPLETED
    assert job.calls == 1


async def test_a_defect_in_a_job_ends_its_run_without_telling_its_text(service: Service, job: Job) -> None:
    job.failure = RuntimeError("CANARY of a row")
    job.may_end.set()
    run = await runs.start(service)
    failed = await runs.ended(service, run.id)
    assert (failed.state, runs.reason(failed)) == (FAILED, "INTERNAL")
    assert b"CANARY" not in failed.SerializeToString()
    # The worker lives: it takes the next run.
    job.failure = None
    assert (await runs.ended(service, (await runs.start(service)).id)).state == COMPLETED


async def test_a_watch_of_a_run_ends_unavailable_on_shutdown(idle: Service) -> None:
    run = await runs.start(idle)
    stream = idle.operations.WatchJobRun(pb.WatchJobRunRequest(run_id=run.id), metadata=live.operator())
    messages = aiter(stream)
    assert (await anext(messages)).run == run
    await idle.server.drain(5)
    refused = await refusal(anext(messages))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert refused.has(error_details_pb2.RetryInfo)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RunJobRequest(), "job"),
        (pb.RunJobRequest(train=pb.TrainJob()), "train.model_type"),
        (pb.RunJobRequest(train=pb.TrainJob(model_type=9)), "train.model_type"),  # type: ignore[arg-type]  # a number the enum does not have
        (pb.RunJobRequest(train=pb.TrainJob(model_type=1), request_id="again"), "request_id"),  # type: ignore[arg-type]  # as above
    ],
    ids=["no job", "no type", "unknown type", "bad request id"],
)
async def test_a_bad_order_is_refused_by_field_and_queues_nothing(idle: Service, request_: pb.RunJobRequest, field: str) -> None:
    refused = await refusal(runs.start(idle, request_))
    assert (refused.code, refused.reason, set(refused.fields)) == (INVALID, "VALIDATION_FAILED", {field})
    assert list((await idle.operations.ListJobRuns(pb.ListJobRunsRequest(), metadata=live.operator())).runs) == []


async def test_an_unknown_run_is_not_found_and_a_bad_id_is_invalid(idle: Service) -> None:
    for run_id, expected in (
        (UNKNOWN, (grpc.StatusCode.NOT_FOUND, "JOB_RUN_NOT_FOUND")),
        ("x", (INVALID, "VALIDATION_FAILED")),
        ("", (INVALID, "VALIDATION_FAILED")),
    ):
        for call in (runs.get(idle, run_id), runs.told(idle, run_id)):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == expected


async def test_runs_are_listed_newest_first_and_by_state(cluster: Cluster, idle: Service) -> None:
    types = (models_pb2.MODEL_TYPE_TURNOVER_PREDICTION, models_pb2.MODEL_TYPE_CONTRACT_RISK, models_pb2.MODEL_TYPE_SPEND_FORECASTING)
    made = [(await runs.start(idle, runs.order(kind))).id for kind in types]
    async with superuser(cluster, idle) as connection:
        await connection.execute(ABANDONED, made[1], 1)

    async def listed(**wanted: int) -> list[str]:
        request = pb.ListJobRunsRequest(**wanted)  # type: ignore[arg-type]  # numbers of its fields
        return [run.id for run in (await idle.operations.ListJobRuns(request, metadata=live.operator())).runs]

    assert await listed() == made[::-1]
    assert await listed(state=RUNNING) == [made[1]]
    assert await listed(page_size=1) == [made[2]]
    for bad in ({"page_size": -1}, {"state": 9}):
        assert set((await refusal(listed(**bad))).fields) == set(bad)


async def test_the_service_says_what_it_is_and_what_it_reaches(idle: Service) -> None:
    info = await idle.operations.GetServiceInfo(pb.GetServiceInfoRequest(), metadata=live.operator())
    assert (info.version, info.schema_revision, info.queue_reachable) == (server.__version__, about.REVISION, True)
    assert int(info.database_version.split(".")[0]) >= 15
    assert info.HasField("start_time")
