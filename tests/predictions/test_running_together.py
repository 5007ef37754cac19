"""Starts that travel and run together: each ends as it would alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from analytics.v1 import predictions_pb2 as pb
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from server.identity import JobId, OrgId
from server.predictions.inputs import InputVault
from server.predictions.jobs import MOST_TOGETHER, execute_predictions, parse_start
from server.predictions.model import Start
from server.queue import QueueUnavailable
from tests.support import environment, live, trained
from tests.support.asking import accepted, ended, job, new_org, typed
from tests.support.leftovers import inputs_of, superuser
from tests.support.until import until_so
from workers.predictions import PredictionWorker
from workers.scorers import Scorers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

ATTEMPTS = 3
EXPIRE = "UPDATE prediction_jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE org_id = $1 AND state = 'RUNNING'"
HURRY = "UPDATE prediction_jobs SET schedule_time = clock_timestamp() WHERE org_id = $1 AND state = 'QUEUED'"

starts = st.builds(Start, st.just(OrgId("org")), st.builds(lambda: JobId(uuid4())), st.just(1), st.integers(1, 3))


@settings(deadline=None)  # the machine is shared
@given(st.lists(starts, max_size=100))
def test_every_start_is_handed_over_once_and_what_was_started_before_travels_alone(claimed: list[Start]) -> None:
    jobs = execute_predictions(claimed)
    handed = [[parse_start(argument) for argument in made.arguments] for made in jobs]
    assert sorted(start.job_id for group in handed for start in group) == sorted(start.job_id for start in claimed)
    assert len({made.key for made in jobs}) == len(jobs)
    for group in handed:
        assert 1 <= len(group) <= MOST_TOGETHER
        assert len(group) == 1 or all(start.attempt == 1 for start in group)


def test_two_starts_go_to_two_workers_where_there_are_two() -> None:
    two = [Start(OrgId("org"), JobId(uuid4()), 1, 1) for _ in range(2)]
    assert [len(made.arguments) for made in execute_predictions(two)] == [1, 1]


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with a model and without a worker, where every claim is made by its dispatcher."""
    settings = environment.settings(cluster, database, redis_url=f"{cluster.valkey.url}?db=4", prediction_attempts=ATTEMPTS)
    async with live.running(settings, tmp_path, worker=False) as service:
        await service.app.valkey.client.flushdb()
        await trained.activate_model(service.app)
        yield service


@pytest.fixture
def worker(idle: Service) -> PredictionWorker:
    """A worker that executes what a test gives it."""
    return PredictionWorker(idle.app, Scorers(idle.app.db))


async def _started(service: Service, org: str, seed: int, attempt: int = 1) -> Start:
    """Ask for a prediction, or find it, and wait until the dispatcher has started it."""
    who = live.bearer(org)
    job_id = (await accepted(service, who, typed(seed))).job_id

    async def runs() -> bool:
        found = await job(service, who, job_id)
        return (found.state, found.attempt) == (pb.PREDICTION_JOB_STATE_RUNNING, attempt)

    await until_so(runs)
    return Start(OrgId(org), JobId(UUID(job_id)), 1, attempt)


async def _end(service: Service, start: Start) -> tuple[str, str]:
    found = await job(service, live.bearer(start.org), str(start.job_id))
    info = error_details_pb2.ErrorInfo()
    if found.HasField("error"):
        found.error.details[0].Unpack(info)
    return pb.PredictionJobState.Name(found.state).removeprefix("PREDICTION_JOB_STATE_"), info.reason


async def test_jobs_that_run_together_end_each_by_itself(idle: Service, worker: PredictionWorker) -> None:
    good, lost, wrong, cancelled, alone = [await _started(idle, new_org(), 1) for _ in range(5)]
    (key,) = await inputs_of(idle, lost.org)
    await idle.app.valkey.client.delete(key)
    await idle.app.inputs.put(wrong.org, wrong.job_id, 1, {"shoe_size": 42})
    await idle.analytics.CancelPredictionJob(
        pb.CancelPredictionJobRequest(job_id=str(cancelled.job_id)), metadata=live.bearer(cancelled.org)
    )
    await worker.execute([good, lost, wrong, cancelled])
    await worker.execute([alone])
    assert await _end(idle, good) == ("COMPLETED", "")
    assert await _end(idle, lost) == ("FAILED", "INPUT_LOST")
    assert await _end(idle, wrong) == ("FAILED", "INPUT_SCHEMA_MISMATCH")
    assert (await _end(idle, cancelled))[0] == "CANCELLED"
    results = [(await job(idle, live.bearer(start.org), str(start.job_id))).turnover for start in (good, alone)]
    assert results[0] == results[1]


async def test_a_start_given_to_two_workers_is_run_by_one(idle: Service, worker: PredictionWorker) -> None:
    start = await _started(idle, new_org(), 1)
    await worker.execute([start])
    ended_once = await job(idle, live.bearer(start.org), str(start.job_id))
    await worker.execute([start])
    assert await job(idle, live.bearer(start.org), str(start.job_id)) == ended_once


async def test_starts_that_no_worker_took_use_up_no_attempts(cluster: Cluster, idle: Service, worker: PredictionWorker) -> None:
    org = new_org()
    start = await _started(idle, org, 1)
    async with superuser(cluster, idle) as connection:
        for attempt in range(2, 2 * ATTEMPTS):
            await connection.execute(EXPIRE, org)
            await idle.app.upkeep.sweep()
            await idle.app.dispatcher.dispatch()
            start = await _started(idle, org, 1, attempt)
    await worker.execute([start])
    found = await ended(idle, live.bearer(org), str(start.job_id))
    assert (found.state, found.attempt) == (pb.PREDICTION_JOB_STATE_COMPLETED, 2 * ATTEMPTS - 1)


async def test_a_run_that_fails_for_a_passing_reason_is_tried_again_and_the_job_ends_when_that_happened_three_times(
    cluster: Cluster, idle: Service, worker: PredictionWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_vault: InputVault, *_of: object) -> None:
        raise QueueUnavailable

    org = new_org()
    with monkeypatch.context() as broken:
        broken.setattr(InputVault, "get", away)
        async with superuser(cluster, idle) as connection:
            start = await _started(idle, org, 1)
            await worker.execute([start])
            for attempt in range(2, ATTEMPTS + 1):
                await connection.execute(HURRY, org)
                await idle.app.dispatcher.dispatch()
                start = await _started(idle, org, 1, attempt)
                await worker.execute([start])
    assert await _end(idle, start) == ("FAILED", "RETRIES_EXHAUSTED")
    again = await accepted(idle, live.bearer(org), typed(1))
    assert (again.deduplicated, again.job.generation) == (False, 2)
