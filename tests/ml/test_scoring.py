from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ml import scoring
from server.ml.boosting import ArtifactInvalid
from server.ml.calibration import CalibrationInvalid
from server.ml.card import CardInvalid
from server.ml.encoding import Band, Column, EncoderInvalid
from server.ml.features import SchemaInvalid
from server.ml.scoring import SHOWN, Direction, Scorer
from tests.ml.rows import SCHEMA
from tests.ml.trained import scorer, small

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

any_row = st.fixed_dictionaries(
    {"pay": st.floats(0, 100_000)},
    optional={
        "level": st.integers(1, 5),
        "over_time": st.booleans(),
        "unit": st.sampled_from(["Sales", "Support", "Lab 7", "Nowhere"]),
        "noise": st.floats(-1e30, 1e30),
    },
)


@unhurried
@given(any_row)
def test_contributions_and_bias_add_up_to_the_margin(row: dict[str, float]) -> None:
    explained = scorer().explain(row)
    assert explained.bias + sum(explained.values.values()) == pytest.approx(explained.margin, abs=1e-4)


@unhurried
@given(any_row)
def test_a_score_is_a_probability_with_the_confidence_of_the_likelier_outcome(row: dict[str, float]) -> None:
    score = scorer().score(row)
    assert 0 <= score.probability <= 1
    assert score.confidence == max(score.probability, 1 - score.probability)


@unhurried
@given(any_row)
def test_the_strongest_contributions_come_first_with_direction_and_band(row: dict[str, float]) -> None:
    score, values = scorer().score(row), scorer().explain(row).values
    shown = [contribution.value for contribution in score.contributions]
    assert [abs(value) for value in shown] == sorted((abs(value) for value in values.values() if value), reverse=True)[:SHOWN]
    for contribution in score.contributions:
        assert contribution.value == values[contribution.feature]
        assert contribution.direction is (Direction.INCREASES if contribution.value > 0 else Direction.DECREASES)
        assert (contribution.band is Band.MISSING) == (contribution.feature not in row)


def test_what_moved_rows_of_a_batch_is_all_of_it_however_little_a_score_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "SHOWN", 1)
    rows, _ = small()
    for place, moved in enumerate(scorer().batch(rows.columns).moved(np.arange(5))):
        row = rows.row(place)
        assert dict(moved) == pytest.approx({name: value for name, value in scorer().explain(row).values.items() if value})
        assert len(scorer().score(row).contributions) == 1 < len(moved)


def test_what_matters_is_explained_in_the_right_direction() -> None:
    risky = scorer().score({"pay": 5000.0, "level": 1, "over_time": True, "unit": "Sales"})
    safe = scorer().score({"pay": 5000.0, "level": 5, "over_time": False, "unit": "Support"})
    assert risky.probability > 0.6
    assert safe.probability < 0.3
    by_feature = {contribution.feature: contribution for contribution in risky.contributions}
    assert by_feature["over_time"].direction is Direction.INCREASES
    assert (by_feature["level"].direction, by_feature["level"].band) == (Direction.INCREASES, Band.LOW)
    assert by_feature["unit"].band is Band.CATEGORY


def test_one_row_scores_as_it_does_among_many() -> None:
    rows, _ = small()
    together = scorer().probabilities(rows.columns)
    alone = [scorer().score(rows.row(position)).probability for position in range(50)]
    assert alone == pytest.approx(together[:50], abs=1e-7)


@unhurried
@given(st.lists(any_row, min_size=1, max_size=20))
def test_rows_scored_together_get_what_each_gets_alone(rows: list[dict[str, float]]) -> None:
    assert scorer().scores(rows) == [scorer().score(row) for row in rows]


@unhurried
@given(st.lists(any_row, min_size=1, max_size=20), st.sets(st.integers(0, 19)))
def test_a_batch_says_of_the_rows_that_are_asked_for_what_each_gets_alone(rows: list[dict[str, float]], asked: set[int]) -> None:
    columns = {name: [row.get(name) for row in rows] for name in SCHEMA.names}
    arrays: dict[str, Column] = {name: np.array(column, np.float64) for name, column in columns.items() if name != "unit"}
    arrays["unit"] = np.array(columns["unit"], np.object_)
    places = sorted(place for place in asked if place < len(rows))
    alone = [scorer().score(row) for row in rows]
    for batch in (scorer().batch(columns), scorer().batch(arrays)):
        assert batch.probabilities.tolist() == [score.probability for score in alone]
        moved = batch.moved(np.array(places, np.intp))
        assert moved == [[(part.feature, part.value) for part in alone[place].contributions] for place in places]


def test_a_model_survives_being_stored() -> None:
    rows, model = small()
    read = Scorer.load(bytes(bytearray(model.artifact)), json.loads(json.dumps(model.card)))
    assert read.schema == SCHEMA
    assert read.score(rows.row(0)) == scorer().score(rows.row(0))


def test_threads_that_score_at_once_get_what_one_alone_gets() -> None:
    rows, model = small()
    inputs = [rows.row(position) for position in range(40)]
    expected = [scorer().score(row) for row in inputs]
    for _ in range(5):
        # Loaded anew: the first use of a model is where it would still be setting itself up.
        shared, barrier = Scorer.load(model.artifact, model.card), Barrier(8)

        def score(_thread: int, shared: Scorer = shared, barrier: Barrier = barrier) -> list[object]:
            barrier.wait(timeout=30)
            return [shared.score(row) for row in inputs]

        with ThreadPoolExecutor(8) as threads:
            assert all(scores == expected for scores in threads.map(score, range(8)))


def test_a_feature_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="not features of this model: salary"):
        scorer().score({"pay": 1.0, "salary": 2.0})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": 2}, CardInvalid),
        ({"settings": None}, CardInvalid),
        ({"schema": None}, SchemaInvalid),
        ({"encoder": {}}, EncoderInvalid),
        ({"calibration": {}}, CalibrationInvalid),
    ],
)
def test_a_broken_card_is_refused(change: dict[str, object], error: type[ValueError]) -> None:
    _, model = small()
    with pytest.raises(error):
        Scorer.load(model.artifact, model.card | change)


def test_a_card_of_another_model_is_refused() -> None:
    _, model = small()
    fewer = json.loads(json.dumps(model.card))
    fewer["encoder"]["unit"]["categories"].pop()
    with pytest.raises(ArtifactInvalid, match="reads 7 columns, its card says 6"):
        Scorer.load(model.artifact, fewer)


def test_neither_card_nor_score_holds_a_value_of_few_rows() -> None:
    rows, model = small()
    assert "Lab 7" in rows.columns["unit"]
    assert "Lab 7" not in json.dumps(model.card)
    assert b"Lab 7" not in model.artifact
    assert "87654.3" not in repr(scorer().score({"pay": 87654.3, "unit": "Lab 7"}))
