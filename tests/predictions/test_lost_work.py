"""Accepted means it ends, also when something it needs is gone: with a typed error, and a new request starts afresh."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from analytics.v1 import tenant_service_pb2
from google.rpc import code_pb2, error_details_pb2

from server.embedded.account import scratch_folder
from server.embedded.valkey import start_valkey
from server.settings import Settings
from server.telemetry import metrics, names
from tests.support import environment, live, trained
from tests.support.asking import accepted, ended, job, new_org, typed
from tests.support.leftovers import inputs_dropped, inputs_of, rows_of, superuser
from tests.support.refusals import refusal
from tests.support.stalls import undisturbed
from tests.support.until import until_so
from tests.support.working import working

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from server.embedded.valkey import Valkey
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service
    from tests.support.refusals import Refusal

TIMEOUT_SECONDS: float = Settings.model_fields["redis_timeout_seconds"].default
FLIP = "UPDATE shared_model_artifacts SET content = set_byte(content, 1000, 255 - get_byte(content, 1000))"
ABANDON = (
    "UPDATE prediction_jobs SET acknowledged = true, lease_until = clock_timestamp() - interval '1 second'"
    " WHERE org_id = $1 AND state = 'RUNNING'"
)


def _reason(failed: pb.PredictionJob) -> tuple[int, str]:
    info = error_details_pb2.ErrorInfo()
    assert failed.error.details[0].Unpack(info)
    assert info.domain == "analytics"
    return failed.error.code, info.reason


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with a model and without a worker."""
    settings = environment.settings(cluster, database, redis_url=f"{cluster.valkey.url}?db=3")
    async with live.running(settings, tmp_path, worker=False) as service:
        await service.app.valkey.client.flushdb()
        await trained.activate_model(service.app)
        yield service


@pytest.mark.parametrize("spoil", [FLIP, "DELETE FROM shared_model_artifacts"], ids=["damaged", "gone"])
async def test_a_job_whose_artifact_is_damaged_or_gone_fails_and_completes_once_it_is_whole_again(
    cluster: Cluster, idle: Service, spoil: str
) -> None:
    who = live.bearer(new_org())
    async with superuser(cluster, idle) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT * FROM shared_model_artifacts")
        await connection.execute(spoil)
        async with working(idle):
            job_id = (await accepted(idle, who, typed(1))).job_id
            failed = await ended(idle, who, job_id)
            assert failed.state == pb.PREDICTION_JOB_STATE_FAILED
            assert _reason(failed) == (code_pb2.NOT_FOUND, "MODEL_NOT_FOUND")
            assert not failed.HasField("turnover")
            await connection.execute("DELETE FROM shared_model_artifacts")
            await connection.execute("INSERT INTO shared_model_artifacts SELECT * FROM kept")
            again = await accepted(idle, who, typed(1))
            assert (again.job_id, again.deduplicated, again.job.generation) == (job_id, False, 2)
            assert (await ended(idle, who, job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_a_job_whose_input_is_lost_fails_and_can_be_asked_for_again(idle: Service) -> None:
    org = new_org()
    who = live.bearer(org)
    job_id = (await accepted(idle, who, typed(1))).job_id
    (key,) = await inputs_of(idle, org)
    await idle.app.valkey.client.delete(key)
    async with working(idle):
        failed = await ended(idle, who, job_id)
        assert failed.state == pb.PREDICTION_JOB_STATE_FAILED
        assert _reason(failed) == (code_pb2.DATA_LOSS, "INPUT_LOST")
        await accepted(idle, who, typed(1))
        assert (await ended(idle, who, job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_an_input_moved_to_another_job_does_not_open(idle: Service) -> None:
    org = new_org()
    who = live.bearer(org)
    mine = (await accepted(idle, who, typed(1))).job_id
    (own,) = await inputs_of(idle, org)
    await accepted(idle, live.bearer(f"{org}-b"), typed(2))
    (foreign,) = await inputs_of(idle, f"{org}-b")
    await idle.app.valkey.client.copy(foreign, own, replace=True)
    async with working(idle):
        failed = await ended(idle, who, mine)
    assert _reason(failed) == (code_pb2.DATA_LOSS, "INPUT_LOST")


async def test_a_job_whose_worker_vanishes_is_tried_again_and_buried_after_three_of_those(cluster: Cluster, idle: Service) -> None:
    def failed_so_far() -> float:
        return metrics.REGISTRY.get_sample_value(names.PREDICTIONS_ENDED, {"model_type": "turnover_prediction", "state": "FAILED"}) or 0.0

    org, before = new_org(), failed_so_far()
    who = live.bearer(org)
    job_id = (await accepted(idle, who, typed(1))).job_id
    async with superuser(cluster, idle) as connection:
        for attempt in (1, 2, 3):
            await until_so(lambda: _is_running(idle, who, job_id, attempt))  # noqa: B023 - awaited in the same turn
            await connection.execute(ABANDON, org)
            await idle.app.upkeep.sweep()
            await idle.app.dispatcher.dispatch()
    buried = await ended(idle, who, job_id)
    assert buried.state == pb.PREDICTION_JOB_STATE_FAILED
    assert _reason(buried) == (code_pb2.ABORTED, "POISON")
    assert buried.attempt == 3
    assert failed_so_far() == before + 1
    await inputs_dropped(idle, org)


async def _is_running(service: Service, who: Metadata, job_id: str, attempt: int) -> bool:
    found = await job(service, who, job_id)
    return (found.state, found.attempt) == (pb.PREDICTION_JOB_STATE_RUNNING, attempt)


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A Valkey of the test's own, to be stopped."""
    folder = scratch_folder("lost-")
    folder.chmod(0o755)
    server = start_valkey(folder / "vk")
    yield server
    server.stop()


async def test_without_valkey_a_request_is_unavailable_within_a_second_and_half_accepts_nothing(
    cluster: Cluster, database: str, tmp_path: Path, valkey: Valkey
) -> None:
    before, org = new_org(), new_org()
    settings = environment.settings(cluster, database, redis_url=valkey.url, redis_timeout_seconds=TIMEOUT_SECONDS)
    async with live.running(settings, tmp_path, worker=False) as service:
        await trained.activate_model(service.app)
        known = await accepted(service, live.bearer(before), typed(1))
        valkey.stop()
        clock = asyncio.get_running_loop().time
        for request in (typed(2), typed(2, request_id="00000000-0000-4000-8000-00000000000a")):

            async def refused_after(request: pb.RequestPredictionRequest = request) -> tuple[Refusal, float]:
                began = clock()
                return await refusal(accepted(service, live.bearer(org), request)), clock() - began

            refused, seconds = await undisturbed(refused_after)
            assert seconds < 1.0
            assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_UNAVAILABLE")
            assert refused.has(error_details_pb2.RetryInfo)
        batch = pb.BatchRequestPredictionsRequest()
        batch.predictions.add(model_type=1).turnover.CopyFrom(typed(3).turnover)
        refused = await refusal(service.analytics.BatchRequestPredictions(batch, metadata=live.bearer(org)))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_UNAVAILABLE")
        # Reads, and writes that need no queue, go on.
        who = live.bearer(before)
        assert (await job(service, who, known.job_id)).id == known.job_id
        assert (await accepted(service, who, typed(1))).deduplicated
        assert (await service.tenants.GetSwitches(tenant_service_pb2.GetSwitchesRequest(), metadata=who)).switches.pooled_training
        cancel = pb.CancelPredictionJobRequest(job_id=known.job_id)
        assert (await service.analytics.CancelPredictionJob(cancel, metadata=who)).job.state == pb.PREDICTION_JOB_STATE_CANCELLED
        assert await rows_of(cluster, service, org) == {}
