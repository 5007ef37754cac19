"""Facts of all domains make four models in one retraining, and each model a prediction with a result of its own."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from analytics.v1 import fact_service_pb2 as fs
from analytics.v1 import models_pb2, predictions_pb2
from google.type.date_pb2 import Date

from server.identity import RunId
from server.ml import training
from server.ml.contract_risk import DAYS_A_MONTH
from server.registry.model import ModelType
from server.schedule.model import Claim
from tests.support import facts, live, rows
from tests.support.asking import TURNOVER, accepted, ended, new_org
from tests.support.refusals import refusal
from tests.support.working import shared_service
from workers.retraining import retrain_all
from workers.strategies import classifying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

ORG = "acme"
WHO = live.bearer(ORG)
SPEND, RISK = models_pb2.MODEL_TYPE_SPEND_FORECASTING, models_pb2.MODEL_TYPE_CONTRACT_RISK
PERFORMANCE = models_pb2.MODEL_TYPE_PERFORMANCE_PREDICTION
Request = predictions_pb2.RequestPredictionRequest


async def ingest(service: Service, who: Metadata, *requests: fs.IngestFactsRequest) -> None:
    """Load batches, all of whose rows are good."""

    async def stream() -> AsyncIterator[fs.IngestFactsRequest]:
        for request in requests:
            yield request

    answer = await service.facts.IngestFacts(stream(), metadata=who)
    assert [len(batch.errors) for batch in answer.batches] == [0] * len(requests), answer


async def retrain(service: Service, run_id: UUID | None = None) -> Mapping[str, Mapping[str, object]]:
    """Run the weekly retraining; returns what came of each type."""
    claim = Claim(RunId(run_id or uuid4()), "weekly_retraining", "all", uuid4(), "")
    result = await retrain_all(service.app, claim, lambda _share, _words: None)
    types = result["types"]
    assert isinstance(types, list)
    return {each["model_type"]: each for each in types}


@pytest.fixture(scope="module")
def few_folds() -> Iterator[None]:
    """Two parts in place of five in each cross-validation: a fifth of the time, and nothing else is different."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifying, "train_classifier", partial(training.train_classifier, folds=2))
        patch.setattr(training, "INNER_FOLDS", 2)
        yield


@pytest.fixture(scope="module")
async def service(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, few_folds: None) -> AsyncIterator[Service]:
    """A service with facts of all domains, and a model of each type."""
    async with shared_service(cluster, tmp_path_factory.mktemp("four"), model=False) as made:
        people = fs.IngestFactsRequest(employees=fs.EmployeeBatch(employees=rows.employees(250)))
        await ingest(made, WHO, people, facts.contracts(400), facts.reviews(200), facts.series(20))
        came = await retrain(made)
        assert {name: each["state"] for name, each in came.items()} == {kind.value: "ACTIVE" for kind in ModelType}, came
        yield made


async def result(service: Service, request: Request, who: Metadata = WHO) -> predictions_pb2.PredictionJob:
    job = await ended(service, who, (await accepted(service, who, request)).job_id)
    assert job.state == predictions_pb2.PREDICTION_JOB_STATE_COMPLETED, job
    return job


async def models(service: Service) -> Sequence[models_pb2.Model]:
    return (await service.analytics.ListModels(models_pb2.ListModelsRequest(), metadata=live.bearer(ORG, "admin"))).models


async def test_each_type_has_metrics_beside_its_baseline_and_evidence(service: Service) -> None:
    found = {model.type: model for model in await models(service)}
    assert len(found) == 4
    for kind, model in found.items():
        assert model.evidence.rows > 0
        assert model.evidence.loss < model.evidence.baseline_loss
        if kind == SPEND:
            assert 0 < model.forecast.mase_median < model.forecast.baseline_mase_median
            assert 0.6 < model.forecast.coverage <= 1
        else:
            assert 0.6 < model.classification.roc_auc < 1
            assert model.classification.brier_score < model.classification.baseline_brier_score
            assert model.classification.rows > 0


async def test_each_version_says_up_to_when_it_was_trained(service: Service) -> None:
    cutoffs = {model.type: model.training_cutoff.ToDatetime().date() for model in await models(service)}
    newest_contract = max(date(2020 + seed % 4, 1 + seed % 12, 1) for seed in range(400))
    # The newest month of spend is June 2025; three months are held out.
    assert cutoffs == {TURNOVER: date(2026, 1, 31), SPEND: date(2025, 3, 1), RISK: newest_contract, PERFORMANCE: date(2023, 6, 30)}


async def test_a_stored_contract_is_scored_with_what_its_dates_tell_and_what_is_given_wins(service: Service) -> None:
    by_key = Request(model_type=RISK, contract_risk=predictions_pb2.ContractRiskInput(contract_key="c-7"))
    job = await result(service, by_key)
    assert job.contract_risk.predicted_to_go_wrong == (job.contract_risk.score >= 0.5)
    assert job.contract_risk.confidence == max(job.contract_risk.score, 1 - job.contract_risk.score)
    assert 1 <= len(job.contract_risk.contributions) <= 8
    # The same in the caller's own words: c-7 began in August 2023 and ended in 2024; of the same other side's contracts (c-7, c-47,
    # ... c-367) all began in 2023, the first in April.
    known = facts.contract(7)
    given = Request(model_type=RISK, contract_risk=predictions_pb2.ContractRiskInput(attributes=known.attributes))
    given.contract_risk.attributes.value = float(known.value)
    given.contract_risk.attributes.term_months = (date(2024, 12, 31) - date(2023, 8, 1)).days / DAYS_A_MONTH
    assert not (await accepted(service, WHO, given)).deduplicated
    first = min(date(2020 + seed % 4, 1 + seed % 12, 1) for seed in range(7, 400, 40))
    given.contract_risk.attributes.tenure_months = (date(2023, 8, 1) - first).days / DAYS_A_MONTH
    assert (await accepted(service, WHO, given)).job_id == job.id
    worse = Request(model_type=RISK, contract_risk=predictions_pb2.ContractRiskInput(contract_key="c-7"))
    worse.contract_risk.attributes.late_payments, worse.contract_risk.attributes.competed = 6, False
    better = Request(model_type=RISK, contract_risk=predictions_pb2.ContractRiskInput(contract_key="c-7"))
    better.contract_risk.attributes.late_payments, better.contract_risk.attributes.competed = 0, True
    assert (await result(service, worse)).contract_risk.score > (await result(service, better)).contract_risk.score + 0.3
    assert (await accepted(service, WHO, by_key)).deduplicated


async def test_a_stored_employee_is_predicted_with_the_reviews_before_and_what_is_given_wins(service: Service) -> None:
    by_key = Request(model_type=PERFORMANCE, performance=predictions_pb2.PerformanceInput(employee_key="e-3"))
    job = await result(service, by_key)
    assert job.performance.predicted_to_miss == (job.performance.score >= 0.5)
    # The same in the caller's own words: e-3 as it is stored, and its two reviews, the last of June 2023.
    last = facts.review(3, 2023)
    months = (datetime.now(UTC).date() - date(2023, 6, 30)).days / DAYS_A_MONTH
    spelled = predictions_pb2.PerformanceInput(attributes=rows.attributes(3), target=last.target, scale_max=100, earlier_reviews=2)
    spelled.previous.score, spelled.previous.target, spelled.previous.months_since = last.score, last.target, math.floor(months)
    assert (await accepted(service, WHO, Request(model_type=PERFORMANCE, performance=spelled))).job_id == job.id
    spelled.earlier_reviews = 1
    assert not (await accepted(service, WHO, Request(model_type=PERFORMANCE, performance=spelled))).deduplicated
    idle = Request(model_type=PERFORMANCE, performance=predictions_pb2.PerformanceInput(employee_key="e-3"))
    idle.performance.work.idle_minutes, idle.performance.target = 100, 80
    busy = Request(model_type=PERFORMANCE, performance=predictions_pb2.PerformanceInput(employee_key="e-3"))
    busy.performance.work.idle_minutes, busy.performance.target = 0, 60
    assert (await result(service, idle)).performance.score > (await result(service, busy)).performance.score + 0.3


async def test_the_target_is_taken_on_its_scale_whoever_says_the_scale(service: Service) -> None:
    one = predictions_pb2.PerformanceInput(target=70, scale_max=100)
    other = predictions_pb2.PerformanceInput(target=7, scale_max=10)
    jobs = [await accepted(service, WHO, Request(model_type=PERFORMANCE, performance=each)) for each in (one, other)]
    assert jobs[0].job_id == jobs[1].job_id


async def test_a_stored_series_is_forecast_month_by_month_with_an_interval(service: Service) -> None:
    by_unit = Request(model_type=SPEND, spend=predictions_pb2.SpendInput(unit="u-2", category="rent", horizon=3))
    spend = (await result(service, by_unit)).spend
    assert [(point.period.year, point.period.month) for point in spend.points] == [(2025, 7), (2025, 8), (2025, 9)]
    assert all(point.low <= point.median <= point.high for point in spend.points)
    assert spend.interval_level == 0.8
    assert 0.5 < spend.confidence <= 1
    assert spend.contributions
    # The same months given by hand, with a category or without, are the same series.
    given = Request(model_type=SPEND, spend=predictions_pb2.SpendInput(category="rent", horizon=3))
    for month in range(facts.SPEND_MONTHS - 36, facts.SPEND_MONTHS):
        entry = facts.spend(2, month)
        given.spend.history.add(period=entry.period, amount=float(entry.amount))
    assert (await accepted(service, WHO, given)).deduplicated
    total = Request(model_type=SPEND, spend=predictions_pb2.SpendInput(unit="u-2", horizon=3))
    assert len((await result(service, total)).spend.points) == 3


async def test_features_by_name_are_the_same_input_as_typed_ones(service: Service) -> None:
    typed = Request(model_type=RISK)
    typed.contract_risk.attributes.value, typed.contract_risk.attributes.late_payments = 1000, 2
    untyped = Request(model_type=RISK)
    untyped.features.update({"value": 1000, "late_payments": 2})
    first = await accepted(service, WHO, typed)
    second = await accepted(service, WHO, untyped)
    assert (second.job_id, second.deduplicated) == (first.job_id, True)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(model_type=RISK, contract_risk=predictions_pb2.ContractRiskInput(contract_key="c-1")), "CONTRACT_NOT_FOUND"),
        (Request(model_type=PERFORMANCE, performance=predictions_pb2.PerformanceInput(employee_key="e-1")), "EMPLOYEE_NOT_FOUND"),
        (Request(model_type=SPEND, spend=predictions_pb2.SpendInput(unit="u-1")), "SPEND_SERIES_NOT_FOUND"),
    ],
    ids=["contract", "employee", "series"],
)
async def test_what_another_organization_stores_is_not_found(service: Service, request_: Request, reason: str) -> None:
    assert (await refusal(accepted(service, live.bearer(new_org()), request_))).reason == reason
    # The control: its own organization finds it.
    assert (await accepted(service, WHO, request_)).job_id


def _short() -> predictions_pb2.SpendInput:
    return predictions_pb2.SpendInput(history=[predictions_pb2.MonthlyAmount(period=Date(year=2025, month=1), amount=1.0)])


def _twice() -> predictions_pb2.SpendInput:
    return predictions_pb2.SpendInput(history=[*_short().history, *_short().history])


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Request(model_type=RISK, contract_risk=predictions_pb2.ContractRiskInput()), "contract_risk.attributes.value"),
        (Request(model_type=PERFORMANCE, performance=predictions_pb2.PerformanceInput()), "performance.target"),
        (Request(model_type=SPEND, spend=_short()), "spend.amount_1"),
        (Request(model_type=SPEND, spend=_twice()), "spend.history[1].period"),
        (Request(model_type=SPEND, spend=predictions_pb2.SpendInput(unit="u-1", history=_short().history)), "spend"),
        (Request(model_type=RISK, performance=predictions_pb2.PerformanceInput(target=1)), "performance"),
    ],
    ids=["no value", "no target", "short history", "month twice", "two sources", "another type"],
)
async def test_an_input_that_does_not_fit_names_the_field(service: Service, request_: Request, field: str) -> None:
    assert field in set((await refusal(accepted(service, WHO, request_))).fields)


async def test_a_retraining_on_the_same_rows_is_the_next_version_and_one_run_taken_twice_trains_once(service: Service) -> None:
    run_id = uuid4()
    first = await retrain(service, run_id)
    assert {each["version"] for each in first.values()} == {"1.1.0"}
    assert {each["state"] for each in first.values()} == {"ACTIVE"}
    again = await retrain(service, run_id)
    assert again == first
    evidence = {model.evidence.active_version for model in await models(service) if model.version == "1.1.0"}
    assert evidence == {"1.0.0"}


async def test_a_type_without_rows_does_not_stop_the_others(service: Service) -> None:
    await service.facts.DeleteFacts(fs.DeleteFactsRequest(fact_set=fs.FACT_SET_EMPLOYEES, everything=True), metadata=WHO)
    came = await retrain(service)
    assert came["turnover_prediction"]["state"] == ""
    assert "NOT_ENOUGH_TRAINING_DATA" in str(came["turnover_prediction"]["reason"])
    assert {came[kind]["state"] for kind in ("spend_forecasting", "contract_risk", "performance_prediction")} == {"ACTIVE"}
