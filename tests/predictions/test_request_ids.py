"""A retry with the same `request_id` gets the first answer and does nothing; the id of another request is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb

from tests.support import live
from tests.support.asking import PLAIN, accepted, ended, typed, untyped
from tests.support.leftovers import inputs_dropped, rows_of, superuser
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("request ids")


@pytest.fixture
def request_id() -> str:
    """An id that a caller makes up."""
    return str(uuid4())


async def test_a_retry_gets_the_first_answer_and_an_audit_entry_of_its_own(
    cluster: Cluster, shared: Service, org: str, request_id: str
) -> None:
    who = live.bearer(org)
    first = await accepted(shared, who, typed(1, request_id=request_id))
    await ended(shared, who, first.job_id)
    assert await accepted(shared, who, typed(1, request_id=request_id)) == first
    found = await rows_of(cluster, shared, org)
    assert (found["prediction_jobs"], found["audit_entries"], found["idempotency_keys"]) == (1, 2, 1)


async def test_the_id_of_another_request_is_refused_and_names_the_field(
    cluster: Cluster, shared: Service, org: str, request_id: str
) -> None:
    who = live.bearer(org)
    await accepted(shared, who, typed(1, request_id=request_id))
    refused = await refusal(accepted(shared, who, typed(2, request_id=request_id)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")
    assert set(refused.fields) == {"request_id"}
    assert (await rows_of(cluster, shared, org))["prediction_jobs"] == 1


async def test_the_same_id_at_once_gives_every_call_the_same_answer(cluster: Cluster, shared: Service, org: str, request_id: str) -> None:
    who = live.bearer(org)
    answers = await asyncio.gather(*(accepted(shared, who, typed(3, request_id=request_id)) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert not answers[0].deduplicated
    assert (await ended(shared, who, answers[0].job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
    found = await rows_of(cluster, shared, org)
    assert (found["prediction_jobs"], found["audit_entries"]) == (1, len(answers))
    await inputs_dropped(shared, org)


async def test_the_same_id_at_once_for_two_requests_accepts_one_of_them(
    cluster: Cluster, shared: Service, org: str, request_id: str
) -> None:
    who = live.bearer(org)
    calls = [accepted(shared, who, typed(number, request_id=request_id)) for number in (4, 5)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert [error.code() for error in refused] == [grpc.StatusCode.INVALID_ARGUMENT]
    (kept,) = [answer for answer in answers if isinstance(answer, pb.RequestPredictionResponse)]
    await ended(shared, who, kept.job_id)
    assert (await rows_of(cluster, shared, org))["prediction_jobs"] == 1
    await inputs_dropped(shared, org)


async def test_an_id_is_free_for_another_organization_and_another_rpc(shared: Service, org: str, request_id: str) -> None:
    who = live.bearer(org)
    mine = await accepted(shared, who, typed(1, request_id=request_id))
    theirs = await accepted(shared, live.bearer(f"{org}-b"), typed(2, request_id=request_id))
    assert mine.job_id != theirs.job_id
    batch = pb.BatchRequestPredictionsRequest(request_id=request_id)
    batch.predictions.add(model_type=1).turnover.attributes.CopyFrom(typed(1).turnover.attributes)
    answer = await shared.analytics.BatchRequestPredictions(batch, metadata=who)
    assert answer.items[0].accepted.job_id == mine.job_id


async def test_a_refused_request_does_not_use_up_its_id(shared: Service, org: str, request_id: str) -> None:
    who = live.bearer(org)
    await refusal(accepted(shared, who, untyped(PLAIN | {"job_level": "high"}, request_id=request_id)))
    assert (await accepted(shared, who, untyped(PLAIN, request_id=request_id))).job_id


async def test_an_id_is_free_again_after_24_hours(cluster: Cluster, shared: Service, org: str, request_id: str) -> None:
    who = live.bearer(org)
    first = await accepted(shared, who, typed(6, request_id=request_id))
    async with superuser(cluster, shared) as connection:
        await connection.execute("UPDATE idempotency_keys SET at = at - interval '24 hours 1 second' WHERE org_id = $1", org)
    second = await accepted(shared, who, typed(7, request_id=request_id))
    assert second.job_id != first.job_id


async def test_the_stored_answer_holds_no_input(cluster: Cluster, shared: Service, org: str, request_id: str) -> None:
    await accepted(shared, live.bearer(org), untyped(PLAIN | {"department": "CANARY-dept"}, request_id=request_id))
    async with superuser(cluster, shared) as connection:
        kept = await connection.fetchval("SELECT response FROM idempotency_keys WHERE org_id = $1", org)
    assert kept
    assert b"CANARY" not in kept
