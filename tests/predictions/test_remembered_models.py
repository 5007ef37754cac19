"""A process answers by the model version it saw last only as long as that version is the active one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2 as pb

from tests.support import live, trained
from tests.support.asking import PLAIN, accepted, ended, new_org, typed, untyped
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.live import Service


async def test_a_duplicate_is_no_duplicate_any_more_once_another_version_is_active(ready_service: Service) -> None:
    who = live.bearer(new_org())
    first = await accepted(ready_service, who, typed(1))
    again = await accepted(ready_service, who, typed(1))
    assert (again.deduplicated, again.job_id) == (True, first.job_id)
    newer = await trained.activate_model(ready_service.app)
    fresh = await accepted(ready_service, who, typed(1))
    assert not fresh.deduplicated
    assert fresh.job.model_version == newer.version != first.job.model_version
    assert (await ended(ready_service, who, fresh.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_a_duplicate_whose_hash_is_remembered_is_found_and_one_that_was_cancelled_is_queued_with_its_features(
    ready_service: Service,
) -> None:
    org = new_org()
    who = live.bearer(org)
    later = typed(1)
    later.schedule_time.GetCurrentTime()
    later.schedule_time.seconds += 3600
    first = await accepted(ready_service, who, later)
    assert [(await accepted(ready_service, who, typed(1))).job_id for _ in range(3)] == [first.job_id] * 3
    await ready_service.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=first.job_id), metadata=who)
    again = await accepted(ready_service, who, typed(1))
    assert (again.job_id, again.deduplicated, again.job.generation) == (first.job_id, False, 2)
    assert (await ended(ready_service, who, first.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_inputs_that_differ_in_one_feature_or_in_their_form_are_told_apart_however_often_they_are_asked_for(
    ready_service: Service,
) -> None:
    who = live.bearer(new_org())
    asked = [untyped(PLAIN), untyped(PLAIN | {"over_time": False}), untyped(PLAIN | {"over_time": True}), untyped(PLAIN | {"job_level": 1})]
    jobs = [[(await accepted(ready_service, who, request)).job_id for request in asked] for _ in range(3)]
    assert jobs[0] == jobs[1] == jobs[2]
    assert len(set(jobs[0])) == len(asked)
    # A request that does not fit is no less refused for resembling one that does.
    refused = await refusal(accepted(ready_service, who, untyped(PLAIN | {"job_level": True})))
    assert refused.reason == "INPUT_SCHEMA_MISMATCH"
