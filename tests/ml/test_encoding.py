from __future__ import annotations

import json
import math

import numpy as np
import pytest

from server.ml.encoding import MINIMUM_ROWS, Band, Coded, Encoder, EncoderInvalid, table
from server.ml.masking import mask
from tests.ml.rows import SCHEMA, sample

ROWS = sample(400)
DATA = table(SCHEMA, ROWS.columns)
ENCODER = Encoder.fit(SCHEMA, DATA)


def encode(**columns: list[object]) -> dict[str, list[float]]:
    """The matrix columns of some rows, by feature and category."""
    count = len(next(iter(columns.values())))
    complete = {name: columns.get(name, [None] * count) for name in SCHEMA.names}
    matrix = ENCODER.transform(table(SCHEMA, complete))  # type: ignore[arg-type]  # wrong values are not what is tested
    names = [part for encoding in ENCODER.features for part in (encoding.categories or (encoding.feature.name,))]
    assert matrix.dtype == np.float32
    return dict(zip(names, matrix.T.tolist(), strict=True))


def test_numbers_and_booleans_stay_and_absent_ones_are_nan() -> None:
    encoded = encode(pay=[1500.0, None], level=[3, None], over_time=[True, False])
    np.testing.assert_array_equal(encoded["pay"], [1500.0, math.nan])
    np.testing.assert_array_equal(encoded["level"], [3.0, math.nan])
    assert encoded["over_time"] == [1.0, 0.0]


def test_a_frequent_category_has_a_column_of_its_own() -> None:
    assert ENCODER.features[3].categories == ("Research", "Sales", "Support")
    assert encode(unit=["Sales", " Sales "])["Sales"] == [1.0, 1.0]
    assert encode(unit=["Sales", "Support"])["Research"] == [0.0, 0.0]


def test_a_category_is_learned_from_twenty_rows_on() -> None:
    data = table(SCHEMA, {"unit": ["A"] * MINIMUM_ROWS + ["B"] * (MINIMUM_ROWS - 1)})
    assert Encoder.fit(SCHEMA, data).features[3].categories == ("A",)


def test_a_rare_or_unknown_category_is_none_of_the_known_and_an_absent_one_is_nan() -> None:
    encoded = encode(unit=["Lab 7", "Nowhere", None])
    for category in ENCODER.features[3].categories:
        np.testing.assert_array_equal(encoded[category], [0.0, 0.0, math.nan])


def test_a_column_that_knows_its_texts_is_encoded_as_its_rows_would_be() -> None:
    rows = ["Sales", None, " Sales ", "Nowhere", "Support", None]
    coded = Coded.of([row or "-" for row in rows], absent="-")
    assert (coded.tolist(), len(coded)) == (rows, 6)
    some = np.array([5, 0, 3])
    assert list(coded[some]) == [None, "Sales", "Nowhere"]
    for column, plain in ((coded, rows), (coded[some], [rows[place] for place in some])):
        encoded, expected = (ENCODER.transform(table(SCHEMA, {"unit": each})) for each in (column, plain))
        np.testing.assert_array_equal(encoded, expected)


def test_every_matrix_column_knows_its_feature() -> None:
    assert ENCODER.origin == (0, 1, 2, 3, 3, 3, 4)
    assert ENCODER.width == len(ENCODER.origin) == ENCODER.transform(DATA).shape[1]


def test_bands_are_thirds_of_the_training_values() -> None:
    pay = np.array(ROWS.columns["pay"], dtype=float)
    bands = [ENCODER.features[0].band(value) for value in pay.tolist()]
    assert all(abs(bands.count(band) - len(pay) / 3) <= 1 for band in (Band.LOW, Band.MEDIUM, Band.HIGH))
    assert bands[int(pay.argmin())] is Band.LOW
    assert bands[int(pay.argmax())] is Band.HIGH


def test_a_value_that_most_rows_share_is_in_the_middle() -> None:
    encoding = Encoder.fit(SCHEMA, table(SCHEMA, {"level": [2, *[3] * 90, 4]})).features[1]
    assert [encoding.band(value) for value in (2, 3, 4)] == [Band.LOW, Band.MEDIUM, Band.HIGH]


def test_texts_and_booleans_are_categories_and_absent_is_missing() -> None:
    assert ENCODER.features[3].band("Sales") is Band.CATEGORY
    assert ENCODER.features[2].band(value=True) is Band.CATEGORY
    assert [encoding.band(None) for encoding in ENCODER.features] == [Band.MISSING] * 5


def test_an_encoder_survives_json_to_the_bit() -> None:
    read = Encoder.from_json(SCHEMA, json.loads(json.dumps(ENCODER.to_json())))
    assert read == ENCODER
    np.testing.assert_array_equal(read.transform(DATA), ENCODER.transform(DATA))


@pytest.mark.parametrize(
    "change",
    [{"pay": None}, {"pay": {"categories": "abc"}}, {"pay": {"categories": [], "terciles": [1]}}, {"extra": {"categories": []}}],
)
def test_json_that_is_no_encoder_of_the_schema_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EncoderInvalid):
        Encoder.from_json(SCHEMA, ENCODER.to_json() | change)
    with pytest.raises(EncoderInvalid):
        Encoder.from_json(SCHEMA, None)


def test_columns_of_different_lengths_and_unknown_columns_are_refused() -> None:
    for columns in ({"pay": [1.0], "level": [1, 2]}, {"income": [1.0]}, {}):
        with pytest.raises(ValueError, match="columns are features"):
            table(SCHEMA, columns)  # type: ignore[arg-type]  # one of them is empty


def test_masking_takes_whole_optional_features_and_nothing_else() -> None:
    matrix = ENCODER.transform(DATA)
    masked = mask(matrix, ENCODER, seed=1)
    taken = np.isnan(masked) & ~np.isnan(matrix)
    np.testing.assert_array_equal(masked[~taken], matrix[~taken])
    assert not taken[:, 0].any(), "pay is required"
    assert (taken[:, 3] == taken[:, 4]).all()
    assert (taken[:, 3] == taken[:, 5]).all()
    assert 0.4 < taken[:, 2].mean() < 0.6
    np.testing.assert_array_equal(masked, mask(matrix, ENCODER, seed=1))
    assert not np.array_equal(masked, mask(matrix, ENCODER, seed=2), equal_nan=True)
