"""Batches of requests: every item is accepted or refused by itself, in order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2

from tests.support import live, rows
from tests.support.asking import PLAIN, TURNOVER, accepted, ended, fill, typed
from tests.support.leftovers import inputs_dropped, inputs_of, nothing_of, rows_of
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("batches")


Answer = pb.BatchRequestPredictionsItem


def _item(seed: int) -> pb.PredictionInput:
    item = pb.PredictionInput(model_type=TURNOVER)
    item.turnover.attributes.CopyFrom(rows.attributes(seed))
    return item


async def _ask(service: Service, who: Metadata, items: list[pb.PredictionInput], request_id: str = "") -> list[Answer]:
    request = pb.BatchRequestPredictionsRequest(predictions=items, request_id=request_id)
    return list((await service.analytics.BatchRequestPredictions(request, metadata=who)).items)


def _reason(item: Answer) -> str:
    info = error_details_pb2.ErrorInfo()
    assert item.error.details[0].Unpack(info) or item.error.details[1].Unpack(info)
    return info.reason


async def test_good_and_bad_items_of_a_batch_are_answered_in_order(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    unknown = pb.PredictionInput(model_type=TURNOVER)
    unknown.turnover.employee_key = "nobody"
    wrong = pb.PredictionInput(model_type=TURNOVER)
    fill(wrong.features, PLAIN | {"monthly_income": "much"})
    other = pb.PredictionInput(model_type=2)  # type: ignore[arg-type]  # a number of the enum
    fill(other.features, PLAIN)
    far = _item(3)
    far.schedule_time.CopyFrom(Timestamp(seconds=253_339_000_000))
    beyond = _item(4)
    beyond.schedule_time.CopyFrom(Timestamp(seconds=253_402_300_800))
    items = await _ask(shared, who, [_item(1), unknown, wrong, _item(2), other, far, beyond])
    assert [item.WhichOneof("outcome") for item in items] == ["accepted", "error", "error", "accepted", "error", "error", "error"]
    assert [_reason(items[number]) for number in (1, 2, 4, 5, 6)] == [
        *("EMPLOYEE_NOT_FOUND", "INPUT_SCHEMA_MISMATCH", "NO_ACTIVE_MODEL", "VALIDATION_FAILED", "VALIDATION_FAILED")
    ]
    assert items[1].error.code == code_pb2.NOT_FOUND
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in items[2].error.details)
    assert bad.field_violations[0].field == "predictions[2].features.monthly_income"
    for number in (0, 3):
        assert (await ended(shared, who, items[number].accepted.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    found = await rows_of(cluster, shared, org)
    assert (found["prediction_jobs"], found["audit_entries"]) == (2, 2)
    await inputs_dropped(shared, org)


async def test_an_input_that_stands_twice_in_a_batch_is_one_job(cluster: Cluster, shared: Service, org: str) -> None:
    who = live.bearer(org)
    earlier = await accepted(shared, who, typed(7))
    items = await _ask(shared, who, [_item(1), _item(7), _item(1), _item(2), _item(1)])
    jobs = [item.accepted.job_id for item in items]
    assert jobs[0] == jobs[2] == jobs[4]
    assert jobs[1] == earlier.job_id
    assert len(set(jobs)) == 3
    assert sorted(items[number].accepted.deduplicated for number in (0, 2, 4)) == [False, True, True]
    assert items[1].accepted.deduplicated
    for job_id in set(jobs):
        assert (await ended(shared, who, job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    found = await rows_of(cluster, shared, org)
    assert (found["prediction_jobs"], found["audit_entries"]) == (3, 6)
    await inputs_dropped(shared, org)


async def test_a_cancelled_input_that_stands_twice_in_a_batch_runs_again_once(shared: Service, org: str) -> None:
    who = live.bearer(org)
    request = typed(8)
    request.schedule_time.GetCurrentTime()
    request.schedule_time.seconds += 3600
    job_id = (await accepted(shared, who, request)).job_id
    await shared.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=job_id), metadata=who)
    items = await _ask(shared, who, [_item(8), _item(8)])
    assert [item.accepted.job_id for item in items] == [job_id, job_id]
    assert sorted(item.accepted.deduplicated for item in items) == [False, True]
    job = await ended(shared, who, job_id)
    assert (job.state, job.generation) == (pb.PREDICTION_JOB_STATE_COMPLETED, 2)
    await inputs_dropped(shared, org)


async def test_an_item_without_input_or_type_refuses_the_call_by_field(cluster: Cluster, shared: Service, org: str) -> None:
    request = pb.BatchRequestPredictionsRequest(predictions=[_item(1), pb.PredictionInput()])
    refused = await refusal(shared.analytics.BatchRequestPredictions(request, metadata=live.bearer(org)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED")
    assert set(refused.fields) == {"predictions[1].model_type", "predictions[1].input"}
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize(("number", "reason"), [(0, "VALIDATION_FAILED"), (501, "BATCH_TOO_LARGE")])
async def test_a_batch_has_1_to_500_items(cluster: Cluster, shared: Service, org: str, number: int, reason: str) -> None:
    request = pb.BatchRequestPredictionsRequest(predictions=[_item(1)] * number)
    refused = await refusal(shared.analytics.BatchRequestPredictions(request, metadata=live.bearer(org)))
    assert (refused.code, refused.reason, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, reason, {"predictions"})
    assert await nothing_of(cluster, shared, org)


async def test_500_items_are_accepted_at_once(cluster: Cluster, shared: Service, org: str) -> None:
    later = Timestamp()
    later.GetCurrentTime()
    later.seconds += 3600
    items = [_item(number) for number in range(500)]
    for item in items:
        item.schedule_time.CopyFrom(later)
    answers = await _ask(shared, live.bearer(org), items)
    assert len({answer.accepted.job_id for answer in answers}) == 500
    assert (await rows_of(cluster, shared, org))["prediction_jobs"] == 500
    assert len(await inputs_of(shared, org)) == 500


async def test_a_batch_sent_again_with_its_request_id_gets_the_first_answer(shared: Service, org: str) -> None:
    who, request_id = live.bearer(org), str(uuid4())
    first = await _ask(shared, who, [_item(1), _item(2)], request_id)
    assert await _ask(shared, who, [_item(1), _item(2)], request_id) == first
    refused = await refusal(_ask(shared, who, [_item(2), _item(1)], request_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")


async def test_a_batch_over_the_backlog_refuses_the_items_that_do_not_fit(shared: Service, org: str) -> None:
    # The settings are frozen; a smaller limit is the same code with another number.
    object.__setattr__(shared.app.settings, "prediction_backlog_per_org", 3)
    try:
        items = [_item(number) for number in range(5)]
        for item in items:
            item.schedule_time.GetCurrentTime()
            item.schedule_time.seconds += 3600
        answers = await _ask(shared, live.bearer(org), items)
    finally:
        object.__setattr__(shared.app.settings, "prediction_backlog_per_org", 10_000)
    assert Counter(answer.WhichOneof("outcome") for answer in answers) == {"accepted": 3, "error": 2}
    refused = [answer for answer in answers if answer.HasField("error")]
    assert {_reason(answer) for answer in refused} == {"PREDICTION_QUEUE_FULL"}
    assert {answer.error.code for answer in refused} == {code_pb2.RESOURCE_EXHAUSTED}
    assert len(await inputs_of(shared, org)) == 3
