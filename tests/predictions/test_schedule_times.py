"""Schedule times: the past means at once, the future is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb

from tests.support import live
from tests.support.asking import accepted, ended, typed
from tests.support.leftovers import nothing_of
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("schedule times")

Schedule: TypeAlias = Callable[[pb.RequestPredictionRequest], None]


def _at(seconds: int) -> Schedule:
    return lambda request: request.schedule_time.FromSeconds(seconds)


def _in_hours(hours: float) -> Schedule:
    return lambda request: request.schedule_time.FromNanoseconds(int((time.time() + hours * 3600) * 1e9))


PAST = {
    "an instant ago": _in_hours(-1e-9),
    "a day ago": _in_hours(-24),
    "in 1970": _at(0),
    "in the year 1": _at(-62_135_596_800),
}


@pytest.mark.parametrize("schedule", PAST.values(), ids=PAST.keys())
async def test_a_schedule_time_in_the_past_means_at_once(shared: Service, org: str, schedule: Schedule) -> None:
    who, request = live.bearer(org), typed(1)
    schedule(request)
    answer = await accepted(shared, who, request)
    # Not earlier than it was made: nobody gets ahead of others by naming an early time.
    assert abs(answer.job.schedule_time.ToNanoseconds() - answer.job.create_time.ToNanoseconds()) < 1e9
    assert (await ended(shared, who, answer.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED


async def test_a_schedule_time_may_be_24_hours_ahead_and_no_more(cluster: Cluster, shared: Service, org: str) -> None:
    soon, late = typed(1), typed(1)
    _in_hours(23.99)(soon)
    _in_hours(24.01)(late)
    refused = await refusal(shared.analytics.RequestPrediction(late, metadata=live.bearer(org)))
    assert (refused.code, refused.reason, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED", {"schedule_time"})
    assert await nothing_of(cluster, shared, org)
    answer = await accepted(shared, live.bearer(org), soon)
    assert answer.job.schedule_time.ToMicroseconds() == soon.schedule_time.ToMicroseconds()
