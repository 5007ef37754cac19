"""How the prediction queue stands, as an operator and the metrics see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.admin.v1 import operations_service_pb2 as pb

from server.predictions.backlog import store
from server.predictions.backlog.count import count
from server.telemetry import metrics, names
from tests.queue.simulation import add_jobs, add_model
from tests.support import environment, live
from tests.support.clock import VirtualClock
from tests.support.leftovers import superuser
from tests.support.refusals import refusal
from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

LATER = "UPDATE prediction_jobs SET schedule_time = analytics_now() + interval '1 hour' WHERE org_id = 'later'"
RUNNING = "SELECT count(*) = 1 FROM prediction_jobs WHERE state = 'RUNNING'"
ADVANCE = "UPDATE test_clock SET at = at + $1 * interval '1 second'"
MOST_HAVE_ENDED = "UPDATE prediction_jobs SET state = 'CANCELLED' WHERE state = 'QUEUED' AND org_id >= 'org-0200'"


@pytest.fixture
async def still(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service without a worker and with a standing clock, whose dispatcher starts one job at a time."""
    clock = await VirtualClock.install(cluster, database)
    limits = {"predictions_in_all": 1, "prediction_backlog_per_org": 70, "prediction_backlog_in_all": 900}
    settings = environment.settings(cluster, database, prediction_lease_seconds=600, **limits)
    async with live.running(settings, tmp_path, worker=False) as made:
        yield made
    await clock.close()


async def _queue(service: Service, size: int = 0, token: str = "") -> pb.GetPredictionQueueResponse:
    request = pb.GetPredictionQueueRequest(page_size=size, page_token=token)
    return await service.operations.GetPredictionQueue(request, metadata=live.operator())


async def _fill(cluster: Cluster, service: Service, database: str) -> None:
    """One job that runs, seven that are due and five for later, of four organizations."""
    model = await add_model(cluster, database)
    async with superuser(cluster, service) as connection:

        async def runs() -> bool:
            return bool(await connection.fetchval(RUNNING))

        await add_jobs(cluster, database, model, [("runs", 1)])
        await until_so(runs)
        await add_jobs(cluster, database, model, [("a", 3), ("b", 3), ("runs", 1), ("later", 5)])
        await connection.execute(LATER)


async def _advance(cluster: Cluster, service: Service, seconds: float) -> None:
    async with superuser(cluster, service) as connection:
        await connection.execute(ADVANCE, seconds)


async def test_an_empty_queue_has_no_oldest_wait_and_no_organizations(still: Service) -> None:
    found = await _queue(still)
    assert (found.waiting_due, found.waiting_later, found.running, found.starts_last_minute) == (0, 0, 0, 0)
    assert not found.HasField("oldest_wait")
    assert (list(found.organizations), found.next_page_token) == ([], "")
    assert found.HasField("time")


async def test_the_queue_tells_what_waits_what_runs_and_the_limits(cluster: Cluster, still: Service, database: str) -> None:
    await _fill(cluster, still, database)
    await _advance(cluster, still, 30)
    found = await _queue(still)
    assert (found.waiting_due, found.waiting_later, found.running, found.starts_last_minute) == (7, 5, 1, 1)
    assert found.oldest_wait.ToTimedelta().total_seconds() == pytest.approx(30)
    listed = [(each.org_id, each.waiting, each.running, each.HasField("last_start_time")) for each in found.organizations]
    assert listed == [("later", 5, 0, False), ("a", 3, 0, False), ("b", 3, 0, False), ("runs", 1, 1, True)]
    assert (found.limits.per_organization.running, found.limits.per_organization.waiting) == (2, 70)
    assert (found.limits.in_all.running, found.limits.in_all.starts_per_minute, found.limits.in_all.waiting) == (1, 100_000, 900)
    assert found.limits.per_model_type == pb.PredictionLimit()
    await _advance(cluster, still, 31)
    assert (await _queue(still)).starts_last_minute == 0


async def test_pages_show_every_organization_once_most_waiting_first(cluster: Cluster, still: Service, database: str) -> None:
    await _fill(cluster, still, database)
    listed, token = [], ""
    for expected in (2, 2):
        page = await _queue(still, 2, token)
        assert (len(page.organizations), page.waiting_due) == (expected, 7)
        listed += [each.org_id for each in page.organizations]
        token = page.next_page_token
    assert (listed, token) == (["later", "a", "b", "runs"], "")
    assert len((await _queue(still, 2**31 - 1)).organizations) == 4


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (pb.GetPredictionQueueRequest(page_size=-1), "VALIDATION_FAILED", "page_size"),
        (pb.GetPredictionQueueRequest(page_token="x" * 1025), "VALIDATION_FAILED", "page_token"),
        (pb.GetPredictionQueueRequest(page_token="AAAA"), "PAGE_TOKEN_INVALID", "page_token"),
    ],
    ids=["size", "long token", "forged token"],
)
async def test_a_bad_request_names_its_field(still: Service, request_: pb.GetPredictionQueueRequest, reason: str, field: str) -> None:
    refused = await refusal(still.operations.GetPredictionQueue(request_, metadata=live.operator()))
    assert (refused.code, refused.reason, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, reason, {field})


async def test_a_token_of_another_list_is_refused(cluster: Cluster, still: Service, database: str) -> None:
    await _fill(cluster, still, database)
    token = (await _queue(still, 1)).next_page_token
    refused = await refusal(still.operations.ListJobRuns(pb.ListJobRunsRequest(page_token=token), metadata=live.operator()))
    assert refused.reason == "PAGE_TOKEN_INVALID"


async def test_the_metrics_tell_the_same_without_naming_an_organization(cluster: Cluster, still: Service, database: str) -> None:
    await _fill(cluster, still, database)
    await _advance(cluster, still, 2)
    async with superuser(cluster, still) as connection:
        await connection.execute("UPDATE prediction_backlog SET fresh_until = at")
    value = metrics.REGISTRY.get_sample_value

    async def counted() -> bool:
        # Nothing is counted while the service itself is counting.
        await count(still.app.db)
        return value(names.PREDICTIONS_WAITING, {"when": "due"}) == 7

    await until_so(counted)
    assert [value(names.PREDICTIONS_WAITING, {"when": when}) for when in ("due", "later")] == [7, 5]
    assert (value(names.PREDICTIONS_RUNNING), value(names.PREDICTION_STARTS_LAST_MINUTE)) == (1, 1)
    assert value(names.PREDICTION_OLDEST_WAIT_SECONDS) == pytest.approx(2)
    labels = {label for metric in metrics.REGISTRY.collect() for sample in metric.samples for label in sample.labels.values()}
    assert not labels & {"a", "b", "runs"}


async def test_the_queue_is_counted_from_the_indexes_and_not_from_all_jobs_that_ever_were(
    cluster: Cluster, still: Service, database: str
) -> None:
    await add_jobs(cluster, database, await add_model(cluster, database), [(f"org-{number:04}", 20) for number in range(1_000)])
    async with superuser(cluster, still) as connection:
        await connection.execute(MOST_HAVE_ENDED)
        await connection.execute("VACUUM ANALYZE prediction_jobs")
        for statement in (store._FIGURES, _with(store._ORGS.text, waiting="NULL", org="NULL", limit="50")):
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (COSTS off) {statement}"))
            assert "Seq Scan on prediction_jobs" not in plan, plan
    found = await _queue(still, 3)
    assert found.waiting_due + found.running == 4_000
    assert len(found.organizations) == 3


def _with(statement: str, **values: str) -> str:
    """A statement with its parameters written in, for EXPLAIN."""
    for name, value in values.items():
        statement = statement.replace(f":{name}", value)
    return statement
