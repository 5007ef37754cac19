"""The caps of the backlog: exact for an organization however many requests come at once, close in all; nothing is lost."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from analytics.v1 import predictions_pb2 as pb
from google.rpc import error_details_pb2
from sqlalchemy import text

from server import app
from server.db import pool
from server.db.engines import DbRole
from server.errors import AnalyticsError, Reason
from server.identity import Caller, OrgId, RequestId, Role, UserId
from server.predictions.at_once import store as at_once
from server.predictions.backlog import store
from server.predictions.backlog.count import count
from server.rpc.call import Call
from server.rpc.prediction_batches import PredictionBatchRpcs
from server.rpc.predictions import PredictionRpcs
from tests.support import environment, live, trained
from tests.support.asking import PLAIN, accepted, new_org, untyped
from tests.support.leftovers import inputs_of, rows_of, superuser
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from server.db import Tx
    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("backlog")

REQUESTS = int(os.environ.get("BACKLOG_REQUESTS", "10000"))
CAP = 1_000
WAITING = "SELECT count(*) FROM prediction_jobs WHERE org_id = $1 AND state = 'QUEUED'"
# As it would be without locks: every request counts what was committed before.
UNLOCKED = """
    SELECT greatest(:per_org - (SELECT count(*) FROM prediction_jobs WHERE org_id = :org AND state = 'QUEUED'), 0) AS in_org,
           CAST(:in_all AS bigint) + 0 * (:wanted + :most) AS in_all
"""


@pytest.fixture
async def crowded(cluster: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service without a worker, whose callers wait for PostgreSQL and Valkey as long as it takes."""
    monkeypatch.setattr(pool, "POOL_WAIT_SECONDS", 600.0)
    monkeypatch.setattr(pool, "CONNECT_TIMEOUT_SECONDS", 600.0)
    settings = environment.settings(
        cluster, database, redis_url=f"{cluster.valkey.url}?db=5", prediction_backlog_per_org=CAP, db_pool_size=16
    )
    # The tests count themselves; of two that count at once one does nothing.
    monkeypatch.setattr(app, "keep_counting", lambda _: asyncio.Event().wait())
    async with live.running(settings, tmp_path, worker=False) as service:
        await service.app.valkey.client.flushdb()
        await trained.activate_model(service.app)
        yield service


def _request(number: int) -> pb.RequestPredictionRequest:
    """A small request that no other number makes, not due for an hour."""
    request = untyped({**PLAIN, "monthly_income": 1_000 + number})
    request.schedule_time.FromSeconds(int(time.time()) + 3600)
    return request


def _batch(numbers: range) -> pb.BatchRequestPredictionsRequest:
    batch = pb.BatchRequestPredictionsRequest()
    for number in numbers:
        request = _request(number)
        batch.predictions.add(model_type=request.model_type, features=request.features, schedule_time=request.schedule_time)
    return batch


def _call(org: str) -> Call:
    """A call that has passed the interceptors: what is tested is the queue, and not how many calls a server takes on."""
    caller = Caller(OrgId(org), UserId("user-1"), frozenset({Role.ANALYST}))
    return Call(
        "/analytics.v1.AnalyticsService/RequestPrediction", caller, RequestId("request"), time.monotonic() + 600, "", asyncio.Event()
    )


async def _ask(service: Service, org: str, requests: Sequence[pb.RequestPredictionRequest]) -> Counter[str]:
    """Ask for all at once; returns how many got which answer."""
    rpcs = PredictionRpcs(service.app)

    async def one(request: pb.RequestPredictionRequest) -> str:
        try:
            answer = await rpcs.request_prediction(request, _call(org))
        except AnalyticsError as error:
            return error.reason
        return "deduplicated" if answer.deduplicated else "queued"

    return Counter(await asyncio.gather(*(one(request) for request in requests)))


async def _waiting(cluster: Cluster, service: Service, org: str) -> int:
    async with superuser(cluster, service) as connection:
        number: int = await connection.fetchval(WAITING, org)
    return number


async def test_of_ten_thousand_requests_at_once_exactly_as_many_wait_as_may_and_the_others_are_told(
    cluster: Cluster, crowded: Service
) -> None:
    org = new_org()
    answers = await _ask(crowded, org, [_request(number) for number in range(REQUESTS)])
    print(f"backlog: {REQUESTS} requests at once against a cap of {CAP}: {dict(answers)}")
    assert answers == {"queued": CAP, Reason.PREDICTION_QUEUE_FULL: REQUESTS - CAP}
    assert await _waiting(cluster, crowded, org) == CAP
    # Each waiting job has its input, its event and its audit entry; a refused request left nothing.
    assert len(await inputs_of(crowded, org)) == CAP
    left = await rows_of(cluster, crowded, org)
    assert (left["prediction_jobs"], left["outbox"], left["audit_entries"]) == (CAP, CAP, CAP)


async def test_control_without_the_locks_requests_at_once_pass_the_cap(
    cluster: Cluster, crowded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(crowded.app.settings, "prediction_backlog_per_org", 3)
    monkeypatch.setattr(store, "_LEFT", text(UNLOCKED).bindparams(*store._LEFT._bindparams.values()))
    org, all_have_counted, left = new_org(), asyncio.Barrier(8), store.left

    async def together(tx: Tx, *arguments: Any) -> store.Left:  # noqa: ANN401 - handed on as they are
        found = await left(tx, *arguments)
        await all_have_counted.wait()
        return found

    async def stand_aside(*_: object) -> None:
        """Leave every request to the transaction."""

    monkeypatch.setattr(store, "left", together)
    monkeypatch.setattr(at_once, "queue", stand_aside)
    assert await _ask(crowded, org, [_request(number) for number in range(8)]) == {"queued": 8}
    assert await _waiting(cluster, crowded, org) == 8


async def test_batches_and_single_requests_at_once_fill_the_backlog_exactly(cluster: Cluster, crowded: Service) -> None:
    org, rpcs = new_org(), PredictionBatchRpcs(crowded.app)
    batches = [rpcs.batch_request_predictions(_batch(range(start, start + 200)), _call(org)) for start in range(1_000, 2_000, 200)]
    # The same inputs in two batches and as single requests: one job each, whoever comes first.
    twins = rpcs.batch_request_predictions(_batch(range(1_100, 1_300)), _call(org))
    singles = _ask(crowded, org, [_request(number) for number in range(800, 1_200)])
    answers = await asyncio.gather(*batches, twins, singles)
    outcomes = Counter(
        item.WhichOneof("outcome") for answer in answers if isinstance(answer, pb.BatchRequestPredictionsResponse) for item in answer.items
    )
    assert outcomes["error"] > 0
    assert await _waiting(cluster, crowded, org) == CAP
    assert len(await inputs_of(crowded, org)) == CAP


async def test_identical_requests_for_the_last_place_make_one_job_and_none_is_refused(cluster: Cluster, crowded: Service) -> None:
    object.__setattr__(crowded.app.settings, "prediction_backlog_per_org", 3)
    for _ in range(5):
        org = new_org()
        await _ask(crowded, org, [_request(1), _request(2)])
        assert await _ask(crowded, org, [_request(3)] * 20) == {"queued": 1, "deduplicated": 19}
        assert await _waiting(cluster, crowded, org) == 3


async def test_a_full_organization_is_told_which_cap_and_when_to_come_back_and_its_neighbour_is_not_held_up(crowded: Service) -> None:
    object.__setattr__(crowded.app.settings, "prediction_backlog_per_org", 2)
    org = new_org()
    who = live.bearer(org)
    jobs = [await accepted(crowded, who, _request(number)) for number in (1, 2)]
    refused = await refusal(accepted(crowded, who, _request(3)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "PREDICTION_QUEUE_FULL")
    (violation,) = refused.detail(error_details_pb2.QuotaFailure).violations
    assert (violation.subject, violation.description) == (f"org:{org}", "at most 2 waiting predictions per organization")
    assert refused.detail(error_details_pb2.ErrorInfo).metadata["limit"] == "prediction_backlog_per_org"
    assert refused.detail(error_details_pb2.RetryInfo).retry_delay.seconds > 0
    # A duplicate needs no room, and a neighbour has its own.
    assert (await accepted(crowded, who, _request(1))).deduplicated
    assert not (await accepted(crowded, live.bearer(new_org()), _request(3))).deduplicated
    # A place that became free is given again; also to a job that is asked for again.
    await crowded.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=jobs[0].job_id), metadata=who)
    assert (await accepted(crowded, who, _request(1))).job.generation == 2
    assert (await refusal(accepted(crowded, who, _request(3)))).reason == "PREDICTION_QUEUE_FULL"


async def test_the_cap_over_all_organizations_goes_by_the_last_count(crowded: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FRESH_SECONDS", 3600.0)
    object.__setattr__(crowded.app.settings, "prediction_backlog_in_all", 3)
    orgs = [new_org() for _ in range(4)]
    first = [await accepted(crowded, live.bearer(org), _request(1)) for org in orgs[:3]]
    await _count_anew(crowded)
    refused = await refusal(accepted(crowded, live.bearer(orgs[3]), _request(1)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "PREDICTION_QUEUE_FULL")
    (violation,) = refused.detail(error_details_pb2.QuotaFailure).violations
    assert (violation.subject, violation.description) == ("service", "at most 3 waiting predictions over all organizations")
    assert refused.detail(error_details_pb2.ErrorInfo).metadata["limit"] == "prediction_backlog_in_all"
    assert refused.has(error_details_pb2.RetryInfo)
    assert await inputs_of(crowded, orgs[3]) == []
    assert (await accepted(crowded, live.bearer(orgs[0]), _request(1))).deduplicated
    cancel = pb.CancelPredictionJobRequest(job_id=first[0].job_id)
    await crowded.analytics.CancelPredictionJob(cancel, metadata=live.bearer(orgs[0]))
    await _count_anew(crowded)
    assert not (await accepted(crowded, live.bearer(orgs[3]), _request(1))).deduplicated


async def _count_anew(service: Service) -> None:
    async with service.app.db.platform(DbRole.DISPATCH) as tx:
        await tx.run(text("UPDATE prediction_backlog SET fresh_until = at"))
    await count(service.app.db)


async def test_counting_is_done_once_for_all_processes(crowded: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FRESH_SECONDS", 3600.0)
    await _count_anew(crowded)
    async with crowded.app.db.platform(DbRole.DISPATCH) as tx:
        first = await store.published(tx)
        assert first is not None
        # Another process that counts just now is not waited for.
        async with crowded.app.db.platform(DbRole.DISPATCH) as other:
            assert await store.publish(other) is not None
            assert await store.publish(tx) is None
    for _ in range(3):
        await count(crowded.app.db)
    async with crowded.app.db.platform(DbRole.DISPATCH) as tx:
        again = await store.published(tx)
    assert again is not None
    assert again.at > first.at
