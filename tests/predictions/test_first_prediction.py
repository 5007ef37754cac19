"""From facts to a prediction: the way a new caller goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import fact_service_pb2, models_pb2, predictions_pb2
from google.protobuf.duration_pb2 import Duration

from tests.support import live, rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.live import Service

ACME = live.bearer("acme")


async def batches(*sizes: int) -> AsyncIterator[fact_service_pb2.IngestFactsRequest]:
    """Stream batches of made-up employees."""
    start = 0
    for size in sizes:
        yield fact_service_pb2.IngestFactsRequest(employees=fact_service_pb2.EmployeeBatch(employees=rows.employees(size, start)))
        start += size


async def train(service: Service) -> ops.JobRun:
    """Run a training to its end."""
    request = ops.RunJobRequest(train=ops.TrainJob(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION))
    started = await service.operations.RunJob(request, metadata=live.operator())
    last = started.run
    async for message in service.operations.WatchJobRun(ops.WatchJobRunRequest(run_id=started.run.id), metadata=live.operator()):
        last = message.run if message.HasField("run") else last
    return last


async def test_facts_make_a_model_and_the_model_a_prediction_with_score_confidence_and_contributions(service: Service) -> None:
    loaded = await service.facts.IngestFacts(batches(300, 100), metadata=ACME)
    assert [batch.inserted for batch in loaded.batches] == [300, 100]

    run = await train(service)
    assert run.state == ops.JOB_RUN_STATE_COMPLETED, run
    assert run.train_result.organizations == 1
    model = run.train_result.model
    assert model.version == "1.0.0"
    assert model.state == models_pb2.MODEL_STATE_ACTIVE
    # A fifth of the employees judges the versions, and no version is trained on it.
    assert (model.training_rows, model.evidence.rows) == (329, 71)
    assert model.evidence.loss < model.evidence.baseline_loss
    assert 0.6 < model.classification.roc_auc < 1
    assert 0 < model.classification.calibration_error < 0.2
    assert model.classification.folds == 5

    request = predictions_pb2.RequestPredictionRequest(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    request.turnover.attributes.CopyFrom(rows.attributes(7))
    accepted = await service.analytics.RequestPrediction(request, metadata=ACME)
    assert not accepted.deduplicated
    wait = predictions_pb2.GetPredictionJobRequest(job_id=accepted.job_id, wait=Duration(seconds=20))
    job = (await service.analytics.GetPredictionJob(wait, metadata=ACME)).job
    assert job.state == predictions_pb2.PREDICTION_JOB_STATE_COMPLETED, job
    assert 0 < job.turnover.score < 1
    assert job.turnover.confidence == max(job.turnover.score, 1 - job.turnover.score)
    assert 1 <= len(job.turnover.contributions) <= 8
    assert job.model_version == "1.0.0"
    assert job.attempt == 1

    again = await service.analytics.RequestPrediction(request, metadata=ACME)
    assert (again.job_id, again.deduplicated) == (accepted.job_id, True)


async def test_a_stored_employee_is_predicted_by_key(ready_service: Service) -> None:
    await ready_service.facts.IngestFacts(batches(3), metadata=ACME)
    request = predictions_pb2.RequestPredictionRequest(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    request.turnover.employee_key = "e-1"
    by_key = await ready_service.analytics.RequestPrediction(request, metadata=ACME)
    request.turnover.employee_key = ""
    request.turnover.attributes.CopyFrom(rows.attributes(1))
    by_attributes = await ready_service.analytics.RequestPrediction(request, metadata=ACME)
    assert by_attributes.job_id == by_key.job_id
    assert by_attributes.deduplicated
