"""What there is to draw of a version is stored with it, and read by its id."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
from analytics.v1 import models_pb2

from server.db.engines import DbRole
from server.ml.forecast_evaluation import of_forecasts
from server.ml.forecast_metrics import Points
from server.registry.model import ModelType
from server.registry.register import register_candidate
from tests.support import live, rows, runs, trained
from tests.support.leftovers import superuser
from tests.support.loading import load
from tests.support.refusals import refusal
from workers.strategies import classifying

if TYPE_CHECKING:
    from server.registry.model import Candidate
    from tests.support.databases import Cluster
    from tests.support.live import Service

ADMIN = live.bearer("acme", "admin")


async def _read(service: Service, model_id: object, who: live.Metadata = ADMIN) -> models_pb2.GetModelEvaluationResponse:
    request = models_pb2.GetModelEvaluationRequest(model_id=str(model_id))
    return await service.analytics.GetModelEvaluation(request, metadata=who)


async def test_a_training_stores_what_there_is_to_draw_of_the_rows_its_metrics_are_of(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifying, "train_classifier", trained.quick)
    await load(service, live.bearer("acme"), rows.employees(250))
    run = await runs.ended(service, (await runs.start(service)).id)
    model = run.train_result.model
    answer = await _read(service, model.id, live.bearer("other", "owner"))
    assert answer.model == model
    found = answer.classifier
    assert np.trapezoid(found.roc.y, found.roc.x) == pytest.approx(model.classification.roc_auc, abs=0.001)
    assert np.sum(np.diff(found.precision_recall.x, prepend=0.0) * np.array(found.precision_recall.y)) == pytest.approx(
        model.classification.pr_auc, abs=0.001
    )
    assert found.rows == model.classification.rows == sum(each.rows for each in found.reliability)
    assert found.positives == sum(found.positives_by_score)
    assert found.rows - found.positives == sum(found.negatives_by_score)
    assert sorted(each.feature for each in found.importance) == sorted(model.features)
    assert all(each.HasField("gain_share") for each in found.importance)
    assert b"acme" not in answer.SerializeToString()


async def test_forecasts_are_drawn_by_months_ahead_with_the_naive_forecast_as_the_baseline(idle: Service) -> None:
    points = Points(
        np.array([0, 1]), np.array([10.0, 12.0]), np.tile([8.0, 10.0, 12.0], (2, 1)), np.tile([11.0, 12.0, 13.0], (2, 1)), np.full(2, 2.0)
    )
    # As it comes back from the database.
    evaluation = json.loads(json.dumps(of_forecasts(points, np.array([1, 12]), ()).to_json()))
    fresh = replace(await asyncio.to_thread(trained.made), type=ModelType.SPEND_FORECASTING, evaluation=evaluation)
    model = await trained.activate(idle.app, fresh)
    found = (await _read(idle, model.model_id)).forecast
    assert (found.series, found.points, sum(found.series_by_error), sum(found.baseline_by_error)) == (2, 2, 2, 2)
    assert [(each.months, each.mase, each.baseline_mase) for each in found.horizons] == [(1, 0.0, 1.0), (12, 1.0, 0.0)]
    assert [(each.coverage, each.baseline_coverage) for each in found.horizons] == [(1.0, 0.0), (1.0, 1.0)]
    assert len(found.error_edges) == len(found.series_by_error)


async def test_a_version_of_which_nothing_was_stored_says_so(cluster: Cluster, idle: Service) -> None:
    model = await trained.activate_model(idle.app)
    assert (await _read(idle, model.model_id)).classifier.rows > 0
    async with superuser(cluster, idle) as connection:
        await connection.execute("DELETE FROM shared_model_evaluations")
    refused = await refusal(_read(idle, model.model_id))
    assert refused.reason == "MODEL_EVALUATION_NOT_FOUND"
    assert "version 1.0.0" in refused.status.message


async def test_an_unknown_version_is_not_found_and_an_id_that_is_none_is_named(idle: Service) -> None:
    assert (await refusal(_read(idle, uuid4()))).reason == "MODEL_NOT_FOUND"
    assert (await refusal(_read(idle, "1.0.0"))).reason == "VALIDATION_FAILED"


@pytest.mark.parametrize("role", ["viewer", "analyst"])
async def test_who_may_not_list_models_may_not_read_what_there_is_to_draw(idle: Service, role: str) -> None:
    assert (await refusal(_read(idle, uuid4(), live.bearer("acme", role)))).reason == "ROLE_REQUIRED"


async def test_a_version_and_what_there_is_to_draw_of_it_come_together_or_not_at_all(cluster: Cluster, idle: Service) -> None:
    fresh = await asyncio.to_thread(trained.made)
    count = "SELECT (SELECT count(*) FROM shared_models) * 10 + (SELECT count(*) FROM shared_model_evaluations)"
    async with superuser(cluster, idle) as connection:
        with pytest.raises(ConnectionError):
            await _interrupted(idle, fresh)
        assert await connection.fetchval(count) == 0
        await trained.activate(idle.app, fresh)
        assert await connection.fetchval(count) == 11


async def _interrupted(service: Service, fresh: Candidate) -> None:
    async with service.app.db.platform(DbRole.TRAINER) as tx:
        await register_candidate(tx, uuid4(), fresh)
        raise ConnectionError
