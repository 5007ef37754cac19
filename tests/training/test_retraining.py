"""A retraining is the next version: exactly one is active, and what was accepted for the one before still completes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import models_pb2
from analytics.v1 import predictions_pb2 as pb
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.support import live, rows, runs, trained
from tests.support.asking import PLAIN, accepted, ended, new_org, typed, untyped
from tests.support.leftovers import superuser
from tests.support.loading import load
from tests.support.refusals import refusal
from tests.support.working import working
from workers.strategies import classifying

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

ACTIVE, DEPRECATED, FAILED = models_pb2.MODEL_STATE_ACTIVE, models_pb2.MODEL_STATE_DEPRECATED, models_pb2.MODEL_STATE_FAILED


async def _models(service: Service, **wanted: int) -> list[models_pb2.Model]:
    request = models_pb2.ListModelsRequest(**wanted)  # type: ignore[arg-type]  # numbers of its fields
    return list((await service.analytics.ListModels(request, metadata=live.bearer("acme", "admin"))).models)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends with a model that was trained before."""
    monkeypatch.setattr(classifying, "train_classifier", trained.quick)


@pytest.mark.usefixtures("fast")
async def test_a_second_training_is_the_next_minor_version_and_the_only_active_one(service: Service) -> None:
    await load(service, live.bearer("acme"), rows.employees(250))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        run = await runs.ended(service, (await runs.start(service)).id)
        assert run.state == ops.JOB_RUN_STATE_COMPLETED, run
        assert run.train_result.model.version == version
    models = await _models(service)
    assert [(model.version, model.state) for model in models] == [("1.2.0", ACTIVE), ("1.1.0", DEPRECATED), ("1.0.0", DEPRECATED)]
    assert [model.version for model in await _models(service, state=ACTIVE)] == ["1.2.0"]
    assert await _models(service, type=2) == []
    assert "over_time" in models[0].features
    assert len(models[0].artifact_sha256) == 64
    assert b"acme" not in b"".join(model.SerializeToString() for model in models)


async def test_a_job_accepted_for_the_version_before_completes_with_it(idle: Service) -> None:
    who = live.bearer(new_org())
    old = await trained.activate_model(idle.app)
    before = await accepted(idle, who, typed(1))
    new = await trained.activate_model(idle.app)
    after = await accepted(idle, who, typed(1))
    assert (before.job.model_version, after.job.model_version) == ("1.0.0", "1.1.0")
    assert (after.deduplicated, after.job_id == before.job_id) == (False, False)
    assert after.job.input_hash == before.job.input_hash
    async with working(idle):
        done = [await ended(idle, who, job_id) for job_id in (before.job_id, after.job_id)]
    assert [job.state for job in done] == [pb.PREDICTION_JOB_STATE_COMPLETED] * 2
    assert [job.model_id for job in done] == [str(old.model_id), str(new.model_id)]


async def test_versions_activated_at_once_leave_exactly_one_active(cluster: Cluster, idle: Service) -> None:
    await asyncio.gather(*(trained.activate_model(idle.app) for _ in range(4)), return_exceptions=True)
    async with superuser(cluster, idle) as connection:
        assert await connection.fetchval("SELECT count(*) FROM shared_models WHERE state = 'ACTIVE'") == 1


async def test_a_second_active_version_is_refused_by_the_database(cluster: Cluster, idle: Service) -> None:
    await trained.activate_model(idle.app)
    await trained.activate_model(idle.app)
    async with superuser(cluster, idle) as connection:
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_shared_models_active"):
            await connection.execute("UPDATE shared_models SET state = 'ACTIVE'")


async def test_a_model_no_better_than_the_base_rate_stays_inactive_with_the_reason(service: Service) -> None:
    people = rows.employees(200)
    for number, person in enumerate(people):
        # One and the same person two hundred times; who leaves is a coin.
        person.attributes.CopyFrom(rows.attributes(1))
        person.left_within_year = number % 2 == 0
    await load(service, live.bearer("acme"), people)
    failed = await runs.ended(service, (await runs.start(service)).id)
    assert (failed.state, runs.reason(failed)) == (ops.JOB_RUN_STATE_FAILED, "NOT_ENOUGH_TRAINING_DATA")
    for model in await _models(service):
        assert model.state == FAILED
        assert model.failure_reason
    refused = await refusal(accepted(service, live.bearer("acme"), typed(1)))
    assert refused.reason == "NO_ACTIVE_MODEL"


@pytest.mark.parametrize("kind", [2, 3, 4], ids=models_pb2.ModelType.Name)
async def test_a_type_without_facts_fails_its_run_with_the_reason(service: Service, kind: models_pb2.ModelType.ValueType) -> None:
    failed = await runs.ended(service, (await runs.start(service, runs.order(kind))).id)
    assert (failed.state, runs.reason(failed)) == (ops.JOB_RUN_STATE_FAILED, "NOT_ENOUGH_TRAINING_DATA")
    assert failed.train.model_type == kind


@pytest.mark.parametrize("role", ["viewer", "analyst"])
async def test_models_are_listed_for_admins_and_owners(idle: Service, role: str) -> None:
    call = idle.analytics.ListModels(models_pb2.ListModelsRequest(), metadata=live.bearer("acme", role))
    assert (await refusal(call)).reason == "ROLE_REQUIRED"


@pytest.mark.parametrize(
    ("bad", "field"),
    [({"page_size": -1}, "page_size"), ({"state": 9}, "state"), ({"type": 9}, "type"), ({"page_token": "AA"}, "page_token")],
)
async def test_a_bad_list_request_names_the_field(idle: Service, bad: dict[str, int], field: str) -> None:
    assert set((await refusal(_models(idle, **bad))).fields) == {field}


async def test_a_version_that_is_not_active_takes_no_new_request(cluster: Cluster, idle: Service) -> None:
    await trained.activate_model(idle.app)
    async with superuser(cluster, idle) as connection:
        await connection.execute("UPDATE shared_models SET state = 'DEPRECATED'")
    refused = await refusal(accepted(idle, live.bearer("acme"), untyped(PLAIN)))
    assert refused.reason == "NO_ACTIVE_MODEL"


async def test_the_service_cannot_change_models_as_role_app(idle: Service) -> None:
    await trained.activate_model(idle.app)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with idle.app.db.platform() as tx:
            await tx.run(text("UPDATE shared_models SET state = 'FAILED'"))
