"""Two versions are judged on the very same rows, and no version learns from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog
from structlog.testing import LogCapture

from server.ml import boosting, training
from server.ml.encoding import table
from server.ml.evaluation import brier_score
from server.ml.forecaster import Forecaster, evaluate
from server.ml.scoring import Scorer
from server.ml.series import LARGEST, Panel, year_and_month
from server.ml.spend import SPEND
from server.ml.training import TrainingDataInsufficient
from server.registry.model import Artifact
from server.training.model import PooledRows, PooledSeries
from tests.ml.panels import seasonal
from tests.ml.rows import SCHEMA, sample
from workers.strategies import classifying, forecasting
from workers.strategies.classifying import Classifying
from workers.strategies.forecasting import HELD_OUT_MONTHS, Forecasting, series_of
from workers.strategies.model import Rival

if TYPE_CHECKING:
    from workers.strategies.model import Trained

ROWS = 1_000
FIRST = date(2024, 1, 1)


def silent(_share: float, _words: str) -> None:
    return


def course(*, seed: int = 0, held_out: int = 5) -> Classifying:
    """Rows of which every `held_out`th is held out, three a day."""
    rows = sample(ROWS, seed)
    numbers = np.arange(ROWS)
    dates = np.datetime64(FIRST) + numbers // 3
    pooled = PooledRows(table(SCHEMA, rows.columns), np.array(rows.labels), 1, dates, numbers % held_out == 0)
    return Classifying(SCHEMA, pooled, SCHEMA.to_json(), ROWS, 1, pooled.cutoff)


@pytest.fixture(autouse=True)
def few_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts in place of five in each cross-validation, and few trees of one shape."""
    monkeypatch.setattr(boosting, "SMALL_SHAPES", (boosting.Shape("few", 2, 0.3, 5.0, 0.7, 40, 40),))
    monkeypatch.setattr(classifying, "train_classifier", partial(training.train_classifier, folds=2))
    monkeypatch.setattr(training, "INNER_FOLDS", 2)


def artifact(trained: Trained) -> Artifact:
    return Artifact(trained.content, "", trained.card)


def rival(trained: Trained) -> Rival:
    return Rival(artifact(trained), FIRST)


def test_a_classifier_learns_nothing_from_held_out_rows() -> None:
    own = course()
    pooled = own.pooled
    trained = own.train(silent)
    other_labels = pooled.labels ^ pooled.held_out
    columns = {**pooled.columns, "pay": np.where(pooled.held_out, 1.0, np.array(pooled.columns["pay"]))}
    assert replace(own, pooled=replace(pooled, columns=columns, labels=other_labels)).train(silent) == trained
    assert trained.rows == ROWS - ROWS // 5
    # The newest row is held out, so that nothing of its day is learned from.
    late = np.where(np.arange(ROWS) == ROWS - 5, np.datetime64("2030-01-01"), pooled.dates)
    assert replace(pooled, dates=late).cutoff == pooled.cutoff == pooled.dates.max().item()
    # The control: a row that is not held out matters.
    flipped = pooled.labels ^ (np.arange(ROWS) == 1)
    assert replace(own, pooled=replace(pooled, labels=flipped)).train(silent).content != trained.content


def test_classifiers_are_compared_by_the_brier_score_of_the_same_held_out_rows() -> None:
    own = course()
    candidate, active = own.train(silent), course(seed=1, held_out=2).train(silent)
    judged = own.judge(artifact(candidate), rival(active))
    chosen = np.arange(0, ROWS, 5)
    columns = own.pooled.at(chosen).columns
    truth = own.pooled.labels.astype(np.int8)
    losses = [
        brier_score(truth[chosen], np.array(Scorer.load(each.content, each.card).probabilities(columns))) for each in (candidate, active)
    ]
    assert (judged.candidate, judged.active) == pytest.approx(losses)
    assert judged.rows == len(chosen)
    assert judged.rule == "all rows of held-out subjects, on which no version is trained"
    base_rate = truth[[number for number in range(ROWS) if number % 5]].mean()
    assert judged.baseline == pytest.approx(brier_score(truth[chosen], np.full(len(chosen), base_rate)))
    assert judged.candidate != judged.active
    assert judged.baseline is not None
    assert judged.candidate < judged.baseline


def test_an_active_version_that_cannot_be_loaded_has_no_loss_and_so_no_say() -> None:
    own = course()
    candidate = artifact(own.train(silent))
    for broken in (Artifact(b"{}", "", candidate.card), Artifact(candidate.content, "", {})):
        judged = own.judge(candidate, Rival(broken, FIRST))
        assert judged.active is None
        assert judged.candidate > 0


def test_a_version_of_fewer_features_is_judged_by_those_it_knows() -> None:
    own = course()
    narrow = replace(SCHEMA, features=SCHEMA.features[:3])
    columns = {name: own.pooled.columns[name] for name in narrow.names}
    before = replace(own, features=narrow, pooled=replace(own.pooled, columns=columns)).train(silent)
    judged = own.judge(artifact(own.train(silent)), rival(before))
    assert judged.active is not None
    assert judged.candidate < judged.active


def test_too_few_held_out_rows_judge_nothing() -> None:
    own = course(held_out=60)
    with pytest.raises(TrainingDataInsufficient, match="17 of 1000 rows are of subjects that are held out; at least 20 are needed"):
        own.judge(artifact(own.train(silent)), None)


@cache
def monthly() -> Forecasting:
    """Twelve series of five years, as they are pooled."""
    panel = seasonal(12, 60, noise=0.3)
    months = [date(*year_and_month(panel.first + month), 1) for month in range(60)]
    amounts = panel.values.ravel().tolist()
    numbers = [number for number in range(12) for _ in months]
    pooled = PooledSeries(numbers, [None] * 720, months * 12, amounts, [None] * 720, 1)
    return Forecasting(pooled, SPEND.to_json(), len(pooled), 1, pooled.cutoff)


def changed(own: Forecasting, first: date, times: float = 1.5) -> Forecasting:
    """Every amount from a month on is another."""
    pairs = zip(own.pooled.months, own.pooled.amounts, strict=True)
    return replace(own, pooled=replace(own.pooled, amounts=[amount and amount * (times if day >= first else 1) for day, amount in pairs]))


def test_a_forecaster_learns_nothing_from_the_held_out_months_and_they_judge_both_versions() -> None:
    own = monthly()
    first = date(2019, 10, 1)
    assert own.newest == date(2019, 12, 1)
    assert own.cutoff == date(2019, 9, 1)
    trained = own.train(silent)
    assert changed(own, first).train(silent) == trained
    assert trained.rows == 12 * (60 - HELD_OUT_MONTHS)
    # The control: the month before is learned from.
    active = changed(own, date(2019, 9, 1)).train(silent)
    assert active.content != trained.content
    judged = own.judge(artifact(trained), rival(active))
    panel = Panel.of(list(series_of(own.pooled)))
    losses = [evaluate(Forecaster.load(each.content, each.card), panel, panel.first + 57) for each in (trained, active)]
    assert (judged.candidate, judged.active) == (losses[0].mase_median, losses[1].mase_median)
    assert (judged.rows, judged.baseline) == (12 * 3 * 12, losses[0].naive_mase_median)
    assert judged.candidate != judged.active


def test_an_interval_that_does_not_hold_what_it_promises_keeps_a_version_out_where_many_points_tell() -> None:
    own = monthly()
    metrics = {"mase_median": 0.8, "naive_mase_median": 1.0, "coverage": 0.8, "points": 6_120}
    for allowed in ({}, {"coverage": 0.70}, {"coverage": 0.95}, {"coverage": 0.639, "points": 999}):
        assert own.objection(metrics | allowed) == ""
    low = own.objection(metrics | {"coverage": 0.639})
    assert low == "the 80 % interval held 63.9% of 6,120 outcomes it had not seen; 70% to 95% are allowed"
    assert "held 99.0%" in own.objection(metrics | {"coverage": 0.99})
    assert own.objection(metrics | {"mase_median": 1.0}).startswith("no better than the seasonal naive forecast")


def test_of_very_many_series_each_so_manieth_judges_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    own = monthly()
    trained = artifact(own.train(silent))
    monkeypatch.setattr(forecasting, "MOST_JUDGED", 5)
    judged = own.judge(trained, Rival(trained, FIRST))
    assert judged.rows == 4 * 3 * 12
    assert judged.active == judged.candidate
    assert (
        judged.rule
        == "amounts of the newest 3 months of 4 series, on which the candidate was not trained; the active version has seen some of them"
    )


def test_the_evidence_speaks_of_an_active_version_only_where_there_is_one() -> None:
    own = monthly()
    trained = artifact(own.train(silent))
    seen = own.cutoff
    assert seen is not None
    assert own.newest is not None
    rules = [own.judge(trained, active).rule for active in (None, Rival(trained, seen), Rival(trained, own.newest))]
    alone = "amounts of the newest 3 months, on which the candidate was not trained"
    assert rules == [alone, f"{alone}, nor the active version", f"{alone}; the active version has seen some of them"]


def test_series_that_end_before_the_held_out_months_judge_nothing() -> None:
    own = monthly()
    trained = own.train(silent)
    late = replace(own, newest=date(2020, 6, 1))
    with pytest.raises(TrainingDataInsufficient, match="no series that judges has an amount in the newest 3 months"):
        late.judge(artifact(trained), None)


@pytest.mark.parametrize("what", ["amounts", "budgets"])
def test_a_series_beyond_what_is_allowed_is_left_out_and_counted_and_the_others_train_and_judge(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    logs = LogCapture()
    monkeypatch.setattr(forecasting, "_log", structlog.wrap_logger(None, [logs], wrapper_class=structlog.BoundLogger))
    own = monthly()
    values: list[float | None] = [*getattr(own.pooled, what), *[2 * LARGEST] * 60]
    pooled = PooledSeries(
        [*own.pooled.series, *[99] * 60],
        [None] * 780,
        [*own.pooled.months, *own.pooled.months[:60]],
        values if what == "amounts" else [*own.pooled.amounts, *[1.0] * 60],
        values if what == "budgets" else [None] * 780,
        2,
    )
    mixed = replace(own, pooled=pooled)
    trained = mixed.train(silent)
    judged = mixed.judge(artifact(trained), None)
    assert trained == own.train(silent)
    assert judged == own.judge(artifact(trained), None)
    left_out = {"event": "spend.series_left_out", "series": 1, "log_level": "warning"}
    assert logs.entries == [left_out, left_out]


def test_no_series_at_all_judges_nothing() -> None:
    own = monthly()
    trained = own.train(silent)
    none = replace(own, pooled=replace(own.pooled, amounts=[None] * 720))
    with pytest.raises(TrainingDataInsufficient, match="no series to judge by"):
        none.judge(artifact(trained), None)
