"""Equal inputs are one job, however they are written; an input whose job failed or was cancelled is taken again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import employees_pb2, tenant_service_pb2
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support import live, rows
from tests.support.asking import PLAIN, TURNOVER, accepted, ended, typed, untyped
from tests.support.leftovers import inputs_dropped, inputs_of, rows_of, superuser
from tests.support.loading import load

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("duplicates")


def _typed(**attributes: object) -> pb.RequestPredictionRequest:
    request = pb.RequestPredictionRequest(model_type=TURNOVER)
    request.turnover.attributes.CopyFrom(employees_pb2.EmployeeAttributes(**(PLAIN | attributes)))  # type: ignore[arg-type]  # names of its fields
    return request


async def _audit(service: Service, who: Metadata) -> list[tenant_service_pb2.AuditEntry]:
    request = tenant_service_pb2.ListAuditEntriesRequest(action="prediction.requested")
    return list((await service.tenants.ListAuditEntries(request, metadata=who)).entries)


SAME = {
    "a whole number and a fraction": [untyped(PLAIN | {"job_level": 3}), untyped(PLAIN | {"job_level": 3.0}), _typed(job_level=3)],
    "typed and open": [
        _typed(over_time=True, business_travel=employees_pb2.BUSINESS_TRAVEL_RARELY),
        untyped(PLAIN | {"over_time": True, "business_travel": "rarely"}),
        untyped(PLAIN | {"over_time": True, "business_travel": "BUSINESS_TRAVEL_RARELY"}),
    ],
    "absent and null": [
        untyped(PLAIN),
        untyped(PLAIN | {"job_level": None, "over_time": None}),
        _typed(business_travel=employees_pb2.BUSINESS_TRAVEL_UNSPECIFIED),
    ],
    "another order of the fields": [untyped(PLAIN), untyped(dict(reversed(list(PLAIN.items()))))],
    "composed and decomposed letters": [untyped(PLAIN | {"department": "Caf\u00e9"}), untyped(PLAIN | {"department": "Cafe\u0301 "})],
    "zero and minus zero": [untyped(PLAIN | {"distance_from_home": 0.0}), untyped(PLAIN | {"distance_from_home": -0.0})],
}


@pytest.mark.parametrize("same", SAME.values(), ids=SAME)
async def test_the_same_input_written_differently_is_one_job_and_an_audit_entry_per_call(
    cluster: Cluster, shared: Service, org: str, same: list[pb.RequestPredictionRequest]
) -> None:
    who = live.bearer(org)
    answers = [await accepted(shared, who, request) for request in same]
    assert len({answer.job_id for answer in answers}) == 1
    assert [answer.deduplicated for answer in answers] == [False] + [True] * (len(same) - 1)
    assert len({answer.job.input_hash for answer in answers}) == 1
    assert answers[0].job.input_hash.startswith("jcs-sha256:")
    entries = await _audit(shared, who)
    assert [entry.details["deduplicated"] for entry in entries] == ["true"] * (len(same) - 1) + ["false"]
    assert {entry.resource_id for entry in entries} == {answers[0].job_id}
    await ended(shared, who, answers[0].job_id)
    assert (await rows_of(cluster, shared, org))["prediction_jobs"] == 1


async def test_other_features_or_another_organization_are_another_job(shared: Service, org: str) -> None:
    first = await accepted(shared, live.bearer(org), untyped(PLAIN))
    other = await accepted(shared, live.bearer(org), untyped(PLAIN | {"over_time": False}))
    elsewhere = await accepted(shared, live.bearer(f"{org}-b"), untyped(PLAIN))
    assert len({first.job_id, other.job_id, elsewhere.job_id}) == 3
    assert [other.deduplicated, elsewhere.deduplicated] == [False, False]
    assert elsewhere.job.input_hash == first.job.input_hash


async def test_identical_requests_at_once_are_one_job_that_completes(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    answers = await asyncio.gather(*(accepted(shared, who, typed(900)) for _ in range(40)))
    assert len({answer.job_id for answer in answers}) == 1
    assert sum(not answer.deduplicated for answer in answers) == 1
    assert (await ended(shared, who, answers[0].job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    assert len(await _audit(shared, who)) == 40
    assert (await rows_of(cluster, shared, org))["prediction_jobs"] == 1
    await inputs_dropped(shared, org)


async def _cancelled(service: Service, who: Metadata) -> str:
    """A job that was cancelled before it was due."""
    request = typed(901)
    request.schedule_time.CopyFrom(_in_an_hour())
    job_id = (await accepted(service, who, request)).job_id
    await service.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=job_id), metadata=who)
    return job_id


def _in_an_hour() -> Timestamp:
    later = Timestamp()
    later.GetCurrentTime()
    later.seconds += 3600
    return later


async def test_a_cancelled_job_is_queued_again_as_its_next_generation(shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _cancelled(shared, who)
    again = await accepted(shared, who, typed(901))
    assert (again.job_id, again.deduplicated, again.job.generation) == (job_id, False, 2)
    job = await ended(shared, who, job_id)
    assert (job.state, job.generation, job.attempt) == (pb.PREDICTION_JOB_STATE_COMPLETED, 2, 1)
    assert not job.HasField("error")


async def test_a_failed_job_is_queued_again_as_its_next_generation(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _cancelled(shared, who)
    async with superuser(cluster, shared) as connection:
        await connection.execute("UPDATE prediction_jobs SET state = 'FAILED', error_reason = 'POISON' WHERE job_id = $1", job_id)
    again = await accepted(shared, who, typed(901))
    assert (again.job_id, again.deduplicated, again.job.generation) == (job_id, False, 2)
    assert (await ended(shared, who, job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_a_cancelled_job_asked_for_many_times_at_once_runs_once_with_its_input(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    job_id = await _cancelled(shared, who)
    request = typed(901)
    request.schedule_time.CopyFrom(_in_an_hour())
    answers = await asyncio.gather(*(accepted(shared, who, request) for _ in range(20)))
    assert {answer.job_id for answer in answers} == {job_id}
    assert sum(not answer.deduplicated for answer in answers) == 1
    # The rivals had the same key for the input; none of them took it away.
    assert [key.decode().endswith(f"{job_id}:2") for key in await inputs_of(shared, org)] == [True]
    async with superuser(cluster, shared) as connection:
        await connection.execute("UPDATE prediction_jobs SET schedule_time = created_at WHERE job_id = $1", job_id)
        job = await ended(shared, who, job_id)
        assert (job.state, job.generation) == (pb.PREDICTION_JOB_STATE_COMPLETED, 2), job
        assert await connection.fetchval("SELECT count(*) FROM prediction_starts WHERE org_id = $1", org) == 1
    await inputs_dropped(shared, org)


async def test_a_stored_employee_changed_meanwhile_is_another_input(shared: Service, org: str) -> None:
    who = live.bearer(org)
    person = rows.employee(5)
    await load(shared, who, [person])
    request = pb.RequestPredictionRequest(model_type=TURNOVER)
    request.turnover.employee_key = person.employee_key
    first = await accepted(shared, who, request)
    person.attributes.monthly_income += 1
    await load(shared, who, [person])
    second = await accepted(shared, who, request)
    assert first.job_id != second.job_id
