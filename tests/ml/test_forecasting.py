from __future__ import annotations

import json
from dataclasses import astuple, replace

import numpy as np
import pytest

from server.ml import forecast_trials
from server.ml.boosting import ArtifactInvalid
from server.ml.card import CardInvalid
from server.ml.forecast_features import WINDOW, Pairs, enough
from server.ml.forecast_metrics import BOUND, Points, Scales
from server.ml.forecast_trials import Course, Windows
from server.ml.forecaster import Forecaster, evaluate, held_out
from server.ml.forecasting import train_forecaster
from server.ml.intervals import IntervalsInvalid
from server.ml.quantile_trees import SMALL
from server.ml.series import Panel, Series
from server.ml.training import TrainingDataInsufficient
from tests.ml import trained
from tests.ml.panels import FIRST, NOISE, forecaster, seasonal, series, small


def test_a_season_is_forecast_better_than_by_last_year_and_nearly_as_well_as_can_be() -> None:
    panel, model = small()
    metrics = model.metrics
    assert metrics.series == len(panel.series)
    # The naive forecast carries the noise of two months and errs by sqrt(2) times that of one; nobody can err by less than that.
    # Whoever has seen three years of a season can err by sqrt((1 + 1/3) / 2) = 0.82 of the naive error; chance moves it by 0.04.
    assert np.sqrt(1 / 2) - 0.02 < metrics.relative_error_median < np.sqrt(2 / 3) + 0.05
    assert metrics.mase_median < metrics.naive_mase_median - 0.08
    assert metrics.naive_mase_median == pytest.approx(1, abs=0.1)
    assert metrics.better_share > 0.75


def test_noise_without_a_season_is_not_mistaken_for_one() -> None:
    generator = np.random.default_rng(3)
    months = list(range(FIRST, FIRST + 60))
    panel = Panel.of([Series.of(str(number), months, (100 + 10 * generator.normal(size=60)).tolist()) for number in range(20)])
    metrics = train_forecaster(panel, seed=0).metrics
    assert metrics.relative_error_median < 0.8
    assert metrics.coverage == pytest.approx(0.8, abs=0.06)


def test_intervals_hold_what_they_promise_on_months_that_come_later() -> None:
    panel, model = small()
    assert model.metrics.coverage == pytest.approx(0.8, abs=0.06)
    longer = seasonal(months=84)  # the same seed, so the first six years are those of other noise but the same kind
    known = evaluate(forecaster(), longer, panel.last + 1)
    assert known.coverage == pytest.approx(0.8, abs=0.06)
    assert known.mase_median == pytest.approx(model.metrics.mase_median, abs=0.15)


def test_coverage_that_is_not_as_promised_is_seen() -> None:
    panel, _ = small()
    wilder = seasonal(months=84)
    values = wilder.values.copy()
    values[:, 72:] *= np.random.default_rng(1).choice([0.5, 2.0], size=values[:, 72:].shape)
    disturbed = Panel.of([Series(each.key, each.first, row) for each, row in zip(wilder.series, values, strict=True)])
    assert evaluate(forecaster(), disturbed, panel.last + 1).coverage < 0.5


def test_held_out_months_take_no_part_in_what_judges_them() -> None:
    panel = seasonal(12, 54)
    windows = Windows.of(panel, 12)
    newest, oldest = windows.bounds(0)[0], windows.bounds(windows.count - 1)[0]

    def trials(change_from: int) -> list[np.ndarray]:
        values = panel.values.copy()
        values[:, change_from:] *= 3.0
        other = Panel.of([Series(each.key, each.first, row) for each, row in zip(panel.series, values, strict=True)])
        found = Course(other, windows, 12, 0, 1).trials(lambda _step: None).windows
        # Origins within a window see its first months; those before see none of it.
        return [trial.raw[trial.rows.pairs.origins < trial.start] for trial in found]

    plain, changed, spoilt = trials(panel.values.shape[1]), trials(newest), trials(oldest)
    assert len(plain) == windows.count >= 2
    for before, after in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(before, after)
    # The control: the oldest window, changed, chooses another number of rounds and teaches the trees of the next.
    assert not np.array_equal(plain[-1], spoilt[-1])


def test_held_out_pairs_are_all_that_have_an_outcome_and_enough_history() -> None:
    generator = np.random.default_rng(4)
    gappy = [None if generator.random() < 0.4 else 1.0 for _ in range(60)]
    panel = Panel.of([series(gappy, key="gappy"), series([1.0] * 9, key="late", first=FIRST + 40)])
    for low, high in ((0, 59), (3, 8), (40, 48), (59, 59)):
        every = [(row, month - ahead, ahead) for row in (0, 1) for month in range(low, high + 1) for ahead in range(1, 13)]
        rows, origins, horizons = np.array(every).T
        pairs = Pairs(rows, origins, horizons, np.full(len(every), WINDOW))
        expected = pairs.at(enough(panel, pairs) & ~np.isnan(panel.values[rows, pairs.targets]))
        found = held_out(panel, low, high)
        for name in ("series", "origins", "horizons", "visible"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert (high > 8) == bool(len(found))
    assert held_out(panel, 0, 59, 12, lambda count: np.array([0, count - 1])).series.tolist() == [0, 1]


def test_the_same_panel_and_seed_give_the_same_bytes() -> None:
    panel = seasonal(8, 40)
    model, again = (train_forecaster(panel, seed=7) for _ in range(2))
    assert again.artifact == model.artifact
    assert json.dumps(again.card) == json.dumps(model.card)
    assert again.metrics == model.metrics
    assert train_forecaster(panel, seed=8).artifact != model.artifact


def test_an_artifact_and_its_card_survive_json() -> None:
    panel, model = small()
    read = Forecaster.load(model.artifact, json.loads(json.dumps(model.card)))
    assert read.card.to_json() == model.card
    np.testing.assert_array_equal(read.forecast(panel.series[0]).median, forecaster().forecast(panel.series[0]).median)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": 2}, CardInvalid),
        ({"kind": "other"}, CardInvalid),
        ({"columns": ["lag_1"]}, CardInvalid),
        ({"season_weight": 2}, CardInvalid),
        ({"categories": [1]}, CardInvalid),
        ({"settings": None}, CardInvalid),
        ({"horizon": 13}, CardInvalid),
        ({"margins": {"below": [0.0]}}, IntervalsInvalid),
        ({"margins": None}, IntervalsInvalid),
        ({"coverage": [float("nan")] * 6}, IntervalsInvalid),
        ({"terciles": {"trend": [1]}}, IntervalsInvalid),
        ({"categories": ["one more column"]}, ArtifactInvalid),
    ],
)
def test_a_card_that_is_something_else_is_refused(change: dict[str, object], error: type[Exception]) -> None:
    _, model = small()
    with pytest.raises(error):
        Forecaster.load(model.artifact, {**model.card, **change})


def test_an_artifact_that_is_something_else_is_refused() -> None:
    _, model = small()
    _, other = trained.small()
    for artifact in (b"", b"{L}", other.artifact):
        with pytest.raises(ArtifactInvalid):
            Forecaster.load(artifact, model.card)


def test_progress_rises_to_the_end_and_may_stop_a_training() -> None:
    panel = seasonal(8, 40)
    seen: list[float] = []
    train_forecaster(panel, seed=0, progress=lambda share, _step: seen.append(share))
    assert seen == sorted(seen)
    assert (seen[0] > 0, seen[-1]) == (True, 1.0)

    def stop(_share: float, _step: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_forecaster(panel, seed=0, progress=stop)


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        (seasonal(4, 60), "at least 5 series with 24 months of data; there are 4 among 4"),
        (seasonal(20, 23), "there are 0 among 20"),
        (seasonal(8, 24), "two years of data before"),
        (Panel.of([series([1.0] * 24, key=str(number), first=FIRST + 30 * number) for number in range(8)]), "in common"),
        (Panel.of([series([5.0] * 60, key=str(number)) for number in range(8)]), "two years of data before"),
    ],
)
def test_too_little_to_learn_from_or_to_judge_by_is_refused_with_the_counts(panel: Panel, words: str) -> None:
    with pytest.raises(TrainingDataInsufficient, match=words):
        train_forecaster(panel, seed=0)


def test_one_series_with_a_wrong_year_does_not_move_what_is_held_out() -> None:
    panel, _ = small()
    astray = Series.of("astray", [FIRST + month for month in (*range(30), 700)], [1.0] * 31)
    assert Windows.of(Panel.of([*panel.series, astray]), 12) == Windows.of(panel, 12)


def test_a_category_is_learned_from_twenty_series_on() -> None:
    generator = np.random.default_rng(5)
    months = list(range(FIRST, FIRST + 48))
    names = ["rent"] * 20 + ["travel"] * 20 + ["gifts"] * 19
    panel = Panel.of([Series.of(str(n), months, (100 + generator.normal(size=48)).tolist(), category=name) for n, name in enumerate(names)])
    assert train_forecaster(panel, seed=0).card["categories"] == ["rent", "travel"]


def test_a_budget_that_tells_the_spend_is_made_use_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_trials, "SMALL", replace(SMALL, learning_rate=0.2, most_rounds=80))
    generator = np.random.default_rng(6)
    months = list(range(FIRST, FIRST + 60))

    def panel(*, with_budget: bool) -> Panel:
        made = []
        for number in range(20):
            plan = generator.uniform(50, 150, 72)
            spent = (plan[:60] * (1 + 0.02 * generator.normal(size=60))).tolist()
            budget = dict(zip(range(FIRST, FIRST + 72), plan.tolist(), strict=True))
            made.append(Series.of(str(number), months, spent, budget=budget if with_budget else None))
        return Panel.of(made)

    assert train_forecaster(panel(with_budget=True), seed=0).metrics.mase_median < 0.4
    assert train_forecaster(panel(with_budget=False), seed=0).metrics.mase_median > 0.6


@pytest.mark.parametrize("hidden", [True, False], ids=["", "control"])
def test_a_forecast_without_a_budget_is_not_biased_though_all_series_learned_from_had_one(
    monkeypatch: pytest.MonkeyPatch, *, hidden: bool
) -> None:
    """All spend their budgets; the control, which never learned without, takes no budget for a large one."""
    monkeypatch.setattr(forecast_trials, "SMALL", replace(SMALL, learning_rate=0.3, most_rounds=60))
    if not hidden:
        monkeypatch.setattr(forecast_trials, "OF_BUDGET", ())
    generator = np.random.default_rng(8)

    def planned(number: int) -> Series:
        plan = np.repeat(generator.uniform(60, 140, 6), 12)
        spent = plan[:60] + generator.normal(0, 2, 60)
        budget = dict(zip(range(FIRST, FIRST + 72), plan.tolist(), strict=True))
        return Series.of(str(number), range(FIRST, FIRST + 60), spent.tolist(), budget=budget)

    model = train_forecaster(Panel.of([planned(number) for number in range(12)]), seed=0)
    known = [planned(number) for number in range(100)]
    asked = [replace(each, values=each.values[:48], budget=None) for each in known]
    forecasts = Forecaster.load(model.artifact, model.card).forecasts(asked)
    bias = float(np.mean([forecast.median - each.values[48:] for forecast, each in zip(forecasts, known, strict=True)]))
    assert (abs(bias) < 15) is hidden


def test_a_better_model_is_told_from_a_worse_one_on_the_same_held_out_months() -> None:
    generator = np.random.default_rng(2)
    longer = seasonal(16, months=72)
    before = FIRST + 60
    known = [each for each in (one.until(before - 1) for one in longer.series) if each is not None]
    shuffled = [replace(each, values=generator.permutation(each.values)) for each in known]
    good, bad = (train_forecaster(Panel.of(each), seed=0) for each in (known, shuffled))
    better, worse = (evaluate(Forecaster.load(model.artifact, model.card), longer, before) for model in (good, bad))
    assert (better.series, better.points) == (worse.series, worse.points) == (16, 16 * 12 * 12)
    assert better.mase_median < worse.mase_median - 0.1
    assert better.naive_mase_median == worse.naive_mase_median
    with pytest.raises(ValueError, match="held-out months"):
        evaluate(Forecaster.load(good.artifact, good.card), longer, longer.last + 1)


def test_the_mase_is_one_for_the_seasonal_naive_forecast_within_the_training_part() -> None:
    panel = seasonal(3, 48)
    scales = Scales.of(panel, 48)
    row, place = np.nonzero(~np.isnan(panel.values[:, 12:]))
    truth, naive = panel.values[row, place + 12], panel.values[row, place]
    metrics = Points.of(row, truth, np.stack([naive] * 3, axis=1), naive, scales).measure()
    assert metrics.mase_median == pytest.approx(1)
    assert metrics.mase_mean == metrics.naive_mase_mean == pytest.approx(1)
    assert metrics.relative_error_median == 1
    assert metrics.naive_coverage == pytest.approx(0.8, abs=0.03)


def test_metrics_are_those_of_a_calculation_by_hand() -> None:
    history = [10.0, 20.0] * 6 + [12.0, 24.0] * 6  # a year on, errors of 2 and 4: the scale is 3
    panel = Panel.of([series([*history, 15.0, 30.0]), series([1.0] * 26, key="all alike"), series([1.0, 2.0], key="short")])
    scales = Scales.of(panel, 24)
    np.testing.assert_array_equal(scales.error, [3.0, np.nan, np.nan])
    truth = np.array([15.0, 30.0, 1.0, 1.0])
    quantiles = np.array([[12.0, 18.0, 21.0], [31.0, 33.0, 40.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    metrics = Points.of(np.array([0, 0, 1, 2]), truth, quantiles, np.array([12.0, 24.0, 1.0, 1.0]), scales).measure()
    assert (metrics.series, metrics.points) == (1, 2)
    assert metrics.mase_median == metrics.mase_mean == 1.0  # errors of 3 and 3
    assert metrics.naive_mase_median == 1.5  # errors of 3 and 6
    assert metrics.relative_error_median == pytest.approx(2 / 3)
    assert (metrics.better_share, metrics.coverage) == (1.0, 0.5)
    assert metrics.wape == pytest.approx(6 / 45)
    assert metrics.width == pytest.approx(3.0)
    assert metrics.pinball_low == pytest.approx((0.1 * 3 + 0.9 * 1) / 2 / 3)
    assert metrics.pinball_median == pytest.approx(0.5)
    assert metrics.pinball_high == pytest.approx((0.1 * 6 + 0.1 * 10) / 2 / 3)


def test_all_metrics_are_finite_numbers() -> None:
    _, model = small()
    assert np.isfinite(astuple(model.metrics)).all()
    assert NOISE < 1


def rents() -> Panel:
    """Nine fixed rents, raised once by 5 % in about the fifteenth month, and three series that move; four years."""
    generator = np.random.default_rng(0)
    fixed = [np.where(np.arange(48) < 12 + number % 6, 1_000.0, 1_050.0) * (1 + number) for number in range(9)]
    moving = [5_000 * (1 + 0.2 * generator.normal(size=48)) for _ in range(3)]
    return Panel.of([series(values.tolist(), key=f"series {number}") for number, values in enumerate([*fixed, *moving])])


def test_series_of_which_most_never_move_have_finite_metrics() -> None:
    model = train_forecaster(rents(), seed=0)
    assert np.isfinite(astuple(model.metrics)).all()
    json.dumps(model.evaluation.to_json(), allow_nan=False)


def test_a_ratio_to_nothing_counts_as_its_bound_and_nothing_to_nothing_is_alike() -> None:
    count = np.ones(3)
    same = np.stack([count] * 3, axis=1)
    scales = Scales(np.array([1e-300, 1.0, 1.0]), -count, count)
    off = np.array([[0.0, 3.0, 5.0], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]])
    metrics = Points.of(np.arange(3), count, off, count, scales).measure()
    assert metrics.relative_error_median == BOUND
    assert metrics.mase_mean == pytest.approx((BOUND + 0 + 1) / 3)
    assert metrics.width == pytest.approx((BOUND + 0 + 2) / 3)
    assert Points.of(np.arange(3), count, same, count, scales).measure().relative_error_median == 1
    nothing = Points.of(np.arange(3), 0 * count, off, 0 * count, scales).measure()
    assert (nothing.wape, nothing.naive_wape) == (BOUND, 0.0)
