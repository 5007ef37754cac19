"""What people read of jobs and models, for each model type."""

from __future__ import annotations

import re

import pytest
from analytics.v1 import models_pb2
from analytics.v1 import predictions_pb2 as pb
from google.type.date_pb2 import Date

from server.ctl.show import print_job, print_jobs, print_model, print_models

WHY = pb.Contribution(feature="over_time", direction=pb.CONTRIBUTION_DIRECTION_INCREASES, contribution=0.71, band=pb.VALUE_BAND_HIGH)
CLASSIFIED = {
    "turnover": pb.PredictionJob(turnover=pb.TurnoverResult(score=0.61, predicted_to_leave=True, confidence=0.61, contributions=[WHY])),
    "contract_risk": pb.PredictionJob(contract_risk=pb.ContractRiskResult(score=0.61, confidence=0.61, contributions=[WHY])),
    "performance": pb.PredictionJob(
        performance=pb.PerformanceResult(score=0.61, predicted_to_miss=True, confidence=0.61, contributions=[WHY])
    ),
}
MEANING = {
    "turnover": ("leaving within twelve months", "leaves"),
    "contract_risk": ("going wrong", "goes well"),
    "performance": ("missing the target", "misses"),
}
FORECAST = pb.PredictionJob(
    spend=pb.SpendResult(
        points=[pb.SpendPoint(period=Date(year=2026, month=month, day=1), median=1234.5, low=1000, high=1500) for month in (11, 12)],
        interval_level=0.8,
        confidence=0.79,
        contributions=[WHY],
        model_was_drifting=True,
    )
)


@pytest.mark.parametrize("name", CLASSIFIED)
def test_a_job_shows_its_probability_what_it_means_and_what_moved_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_job(CLASSIFIED[name])
    shown = capsys.readouterr().out
    meaning, predicted = MEANING[name]
    assert f"0.610 (probability of {meaning})" in shown
    assert re.search(rf"predicted +{predicted}\b", shown)
    assert "+0.710" in shown
    print_jobs([CLASSIFIED[name]])
    assert "0.610" in capsys.readouterr().out


def test_a_forecast_shows_its_months_with_their_interval(capsys: pytest.CaptureFixture[str]) -> None:
    print_job(FORECAST)
    shown = capsys.readouterr().out
    for text in ("80% interval", "2026-11", "2026-12", "1,000.00", "1,234.50", "1,500.00", "drifting", "+0.710"):
        assert text in shown
    print_jobs([FORECAST])
    assert "1,234.50" in capsys.readouterr().out


def test_a_job_without_a_result_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_job(pb.PredictionJob(state=pb.PREDICTION_JOB_STATE_QUEUED))
    shown = capsys.readouterr().out
    assert "QUEUED" in shown
    assert "confidence" not in shown


def test_a_forecasting_model_shows_its_error_beside_the_naive_one(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = models_pb2.ForecastMetrics(
        series=12, points=1440, mase_median=0.69, baseline_mase_median=0.817, wape=0.2, baseline_wape=0.3, coverage=0.77
    )
    model = models_pb2.Model(type=models_pb2.MODEL_TYPE_SPEND_FORECASTING, version="1.0.0", forecast=metrics)
    print_model(model)
    shown = capsys.readouterr().out
    for text in ("0.690 (seasonal naive 0.817)", "77.0% of 1,440 amounts"):
        assert text in shown
    print_models([model])
    assert "0.690" in capsys.readouterr().out


@pytest.mark.parametrize(("folds", "said"), [(5, "cross-validation, 5 folds"), (0, "held-out rows")])
def test_a_model_says_on_which_rows_it_was_measured(folds: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_model(models_pb2.Model(version="1.0.0", classification=models_pb2.ClassificationMetrics(roc_auc=0.8, folds=folds)))
    assert said in capsys.readouterr().out
