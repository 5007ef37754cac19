"""Cancelling: a job that has not ended ends at once, one that has ended stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from analytics.v1 import tenant_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2

from server.telemetry import metrics, names
from tests.support import live
from tests.support.asking import accepted, ended, job, typed
from tests.support.leftovers import inputs_of, superuser
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("cancelling")


async def _waiting(service: Service, who: Metadata, seed: int = 1) -> str:
    request = typed(seed)
    later = Timestamp()
    later.GetCurrentTime()
    later.seconds += 3600
    request.schedule_time.CopyFrom(later)
    return (await accepted(service, who, request)).job_id


async def _cancel(service: Service, who: Metadata, job_id: str, request_id: str = "") -> pb.PredictionJob:
    request = pb.CancelPredictionJobRequest(job_id=job_id, request_id=request_id)
    return (await service.analytics.CancelPredictionJob(request, metadata=who)).job


async def test_a_waiting_job_is_cancelled_with_a_reason_and_its_input_is_dropped(shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _waiting(shared, who)
    assert len(await inputs_of(shared, org)) == 1
    cancelled = await _cancel(shared, who, job_id)
    assert cancelled.state == pb.PREDICTION_JOB_STATE_CANCELLED
    assert cancelled.HasField("complete_time")
    assert cancelled.error.code == code_pb2.CANCELLED
    info = error_details_pb2.ErrorInfo()
    assert cancelled.error.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("CANCELLED", "analytics")
    assert await inputs_of(shared, org) == []


async def test_cancelling_again_answers_the_same_and_is_audited_once(shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _waiting(shared, who)
    first = await _cancel(shared, who, job_id)
    assert await _cancel(shared, who, job_id) == first
    request = tenant_service_pb2.ListAuditEntriesRequest(action="prediction.cancelled")
    entries = (await shared.tenants.ListAuditEntries(request, metadata=who)).entries
    assert [entry.resource_id for entry in entries] == [job_id]


async def test_cancelling_with_a_request_id_twice_gives_the_first_answer_even_when_the_job_lives_again(shared: Service, org: str) -> None:
    who, request_id = live.bearer(org), str(uuid4())
    job_id = await _waiting(shared, who)
    first = await _cancel(shared, who, job_id, request_id)
    await accepted(shared, who, typed(1))
    assert await _cancel(shared, who, job_id, request_id) == first
    assert (await ended(shared, who, job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_a_completed_job_cannot_be_cancelled(shared: Service, org: str) -> None:
    who = live.bearer(org)
    done = await ended(shared, who, (await accepted(shared, who, typed(2))).job_id)
    refused = await refusal(_cancel(shared, who, done.id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
    assert refused.detail(error_details_pb2.PreconditionFailure).violations[0].type == "INVALID_STATE_TRANSITION"
    assert await job(shared, who, done.id) == done


async def test_a_failed_job_cannot_be_cancelled_and_stays_as_it_was(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _waiting(shared, who)
    async with superuser(cluster, shared) as connection:
        await connection.execute(
            "UPDATE prediction_jobs SET state = 'FAILED', completed_at = clock_timestamp(), error_reason = 'POISON' WHERE job_id = $1",
            job_id,
        )
    failed = await job(shared, who, job_id)
    refused = await refusal(_cancel(shared, who, job_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
    assert await job(shared, who, job_id) == failed


async def test_a_bad_cancel_leaves_the_job_as_it_was(shared: Service, org: str) -> None:
    who = live.bearer(org)
    waiting = await job(shared, who, await _waiting(shared, who))
    bad = pb.CancelPredictionJobRequest(job_id=waiting.id, request_id="again")
    refused = await refusal(shared.analytics.CancelPredictionJob(bad, metadata=who))
    assert (refused.code, refused.reason, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED", {"request_id"})
    assert await job(shared, who, waiting.id) == waiting


async def test_a_running_attempt_is_given_up_and_its_late_result_is_dropped(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _waiting(shared, who)
    async with superuser(cluster, shared) as connection:
        await connection.execute(
            "UPDATE prediction_jobs SET state = 'RUNNING', attempt = 1, acknowledged = true, lease_token = gen_random_uuid(),"
            " lease_until = clock_timestamp() + interval '1 hour' WHERE job_id = $1",
            job_id,
        )
        cancelled = await _cancel(shared, who, job_id)
        assert cancelled.state == pb.PREDICTION_JOB_STATE_CANCELLED
        assert await connection.fetchval("SELECT lease_token FROM prediction_jobs WHERE job_id = $1", job_id) is None


async def test_a_viewer_may_read_a_job_but_not_cancel_it(shared: Service, org: str) -> None:
    job_id = await _waiting(shared, live.bearer(org))
    viewer = live.bearer(org, "viewer")
    assert (await job(shared, viewer, job_id)).id == job_id
    refused = await refusal(_cancel(shared, viewer, job_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")


async def test_a_job_counts_as_ended_once_however_often_it_is_cancelled(shared: Service, org: str) -> None:
    def ended_so_far() -> float:
        return (
            metrics.REGISTRY.get_sample_value(names.PREDICTIONS_ENDED, {"model_type": "turnover_prediction", "state": "CANCELLED"}) or 0.0
        )

    who = live.bearer(org)
    job_id, before, request_id = await _waiting(shared, who), ended_so_far(), str(uuid4())
    for repeated in (request_id, request_id, "", str(uuid4())):
        await _cancel(shared, who, job_id, repeated)
    assert ended_so_far() == before + 1
