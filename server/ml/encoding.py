"""From named values to the matrix the trees read, and back from a matrix column to the feature it came from.

Numbers stay as they are, booleans become 0 and 1, a category becomes one 0/1 column for each of its frequent values.
What always holds: fitting looks at the features only, never at the labels, and what was fitted is plain JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from server.ml.features import FeatureKind, FeatureSpec, FeatureValue, category_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from server.ml.schema import FeatureSchema

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of texts of which few differ.

    Args:
        texts: those that there are, None for absent.
        places: for each row where its text stands in `texts`, (n,).

    """

    texts: Sequence[str | None]
    places: npt.NDArray[np.intp]

    @classmethod
    def of(cls, rows: Sequence[FeatureValue | None], absent: str | None = None) -> Self:
        """Look through the values of all rows; `absent` is what one that is absent is written as."""
        found = list(set(rows))
        place = dict(zip(found, range(len(found)), strict=True))
        places = np.fromiter(map(place.__getitem__, rows), np.intp, len(rows))
        return cls([None if value is None or value == absent else str(value) for value in found], places)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.places)

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> Coded:
        """Return the column of some rows."""
        return Coded(self.texts, self.places[rows])

    def __iter__(self) -> Iterator[str | None]:
        """Go through the text of each row."""
        return iter(self.tolist())

    def tolist(self) -> list[str | None]:
        """Return the text of each row."""
        return [self.texts[place] for place in self.places.tolist()]

    def mapped(self, change: Callable[[str], str]) -> Coded:
        """Return the column with every text changed; absent ones stay so."""
        return Coded([None if text is None else change(text) for text in self.texts], self.places)


Table = dict[str, npt.NDArray[np.float64] | Coded]
"""A column per feature: numbers with NaN for absent, or for a category texts."""

Column = Sequence[FeatureValue | None] | npt.NDArray[np.float64] | npt.NDArray[np.object_] | Coded
Columns = Mapping[str, Column]
"""Clean values by feature; None for absent, in an array of numbers NaN."""

MINIMUM_ROWS = 20
"""A category is learned from at least this many rows; a rarer one would be memorized, and would name its few people."""


class Band(StrEnum):
    """Where a value lies among the training values, coarse on purpose."""

    MISSING = "missing"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CATEGORY = "category"


class EncoderInvalid(ValueError):
    """The JSON is not an encoder of this schema."""


def table(schema: FeatureSchema, columns: Columns) -> Table:
    """The schema's columns as arrays.

    Args:
        schema: which columns to take, and how to read them.
        columns: all of one length; a feature left out is absent throughout.

    Raises:
        ValueError: the columns have different lengths, there are none, or one is not a feature.

    """
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or not set(columns) <= set(schema.names):
        msg = "columns are features of the schema, at least one, all of one length"
        raise ValueError(msg)
    rows = lengths.pop()
    return {feature.name: _array(feature, columns.get(feature.name), rows) for feature in schema.features}


def rows_of(data: Table, rows: npt.NDArray[np.intp]) -> Table:
    """The given rows of a table."""
    return {name: column[rows] for name, column in data.items()}


@dataclass(frozen=True, slots=True)
class FeatureEncoding:
    """What was learned of one feature.

    Args:
        feature: the feature.
        categories: frequent values of a category, sorted; each has a column.
        terciles: the values that part the training values into thirds; None when there were none.

    """

    feature: FeatureSpec
    categories: tuple[str, ...] = ()
    terciles: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return len(self.categories) if self.feature.kind is FeatureKind.CATEGORY else 1

    def fill(self, column: npt.NDArray[np.float64] | Coded, out: Matrix) -> None:
        """Write this feature's matrix columns into `out` (n, width).

        Absent is NaN throughout, for which every split has a branch of its own; a rare or unknown category is 0 in all
        columns, none of the known ones, which is something else.
        """
        if not isinstance(column, Coded):
            out[:, 0] = column
            return
        # One look-up for each text that there is, none for a row: there are few texts and many rows.
        rows = np.zeros((self.width + 2, self.width), dtype=np.float32)
        np.fill_diagonal(rows, 1.0)
        rows[self.width] = np.nan
        places: dict[str | None, int] = {category: position for position, category in enumerate((*self.categories, None))}
        out[:] = rows[[places.get(text, -1) for text in column.texts]][column.places]

    def band(self, value: FeatureValue | None) -> Band:
        """Where a value lies.

        A third may be empty when many values are equal: a value that both borders share is MEDIUM.
        """
        if value is None:
            return Band.MISSING
        if not self.feature.is_numeric or isinstance(value, str):
            return Band.CATEGORY
        if self.terciles is None:
            return Band.MEDIUM
        lower, upper = self.terciles
        if value < lower or (value == lower and lower < upper):
            return Band.LOW
        return Band.HIGH if value > upper else Band.MEDIUM


@dataclass(frozen=True, slots=True)
class Encoder:
    """A fitted encoding of all features of a schema, in schema order."""

    features: tuple[FeatureEncoding, ...]

    @classmethod
    def fit(cls, schema: FeatureSchema, data: Table) -> Encoder:
        """Learn frequent categories and terciles from the rows of a table."""
        return cls(tuple(_fit(feature, data[feature.name]) for feature in schema.features))

    def transform(self, data: Table) -> Matrix:
        """The matrix (n, width), float32, of a table's rows."""
        rows = len(next(iter(data.values())))
        matrix = np.empty((rows, self.width), dtype=np.float32)
        start = 0
        for encoding in self.features:
            encoding.fill(data[encoding.feature.name], matrix[:, start : start + encoding.width])
            start += encoding.width
        return matrix

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return sum(encoding.width for encoding in self.features)

    @property
    def origin(self) -> tuple[int, ...]:
        """For each matrix column the position in `features` of the feature it came from."""
        return tuple(position for position, encoding in enumerate(self.features) for _ in range(encoding.width))

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back, given the schema."""
        return {
            encoding.feature.name: {
                "categories": list(encoding.categories),
                "terciles": None if encoding.terciles is None else list(encoding.terciles),
            }
            for encoding in self.features
        }

    @classmethod
    def from_json(cls, schema: FeatureSchema, data: object) -> Encoder:
        """Read what `to_json` wrote.

        Raises:
            EncoderInvalid: it is something else, or of another schema.

        """
        if not isinstance(data, Mapping) or set(data) != set(schema.names):
            msg = "an encoder has an entry for each feature of its schema"
            raise EncoderInvalid(msg)
        return cls(tuple(_read(feature, data[feature.name]) for feature in schema.features))


def _array(feature: FeatureSpec, column: Column | None, rows: int) -> npt.NDArray[np.float64] | Coded:
    if feature.kind is FeatureKind.CATEGORY:
        return _coded(column, rows).mapped(category_key)
    return np.full(rows, np.nan) if column is None else np.array(column, dtype=np.float64)


def _coded(column: Column | None, rows: int) -> Coded:
    if column is None:
        return Coded([None], np.zeros(rows, dtype=np.intp))
    if isinstance(column, Coded):
        return column
    return Coded.of(column.tolist() if isinstance(column, np.ndarray) else column)


def _fit(feature: FeatureSpec, column: npt.NDArray[np.float64] | Coded) -> FeatureEncoding:
    if isinstance(column, Coded):
        counts: Counter[str | None] = Counter()
        for text, count in zip(column.texts, np.bincount(column.places, minlength=len(column.texts)).tolist(), strict=True):
            counts[text] += count
        return FeatureEncoding(feature, tuple(sorted(text for text, count in counts.items() if text is not None and count >= MINIMUM_ROWS)))
    present = column[~np.isnan(column)]
    if not feature.is_numeric or not present.size:
        return FeatureEncoding(feature)
    low, high = np.quantile(present, [1 / 3, 2 / 3])
    return FeatureEncoding(feature, terciles=(float(low), float(high)))


def _read(feature: FeatureSpec, item: object) -> FeatureEncoding:
    msg = f"{feature.name}: not an encoding"
    if not isinstance(item, Mapping):
        raise EncoderInvalid(msg)
    categories, terciles = item.get("categories"), item.get("terciles")
    if not isinstance(categories, list) or not all(isinstance(text, str) for text in categories):
        raise EncoderInvalid(msg)
    if terciles is None:
        return FeatureEncoding(feature, tuple(categories))
    if not isinstance(terciles, list) or len(terciles) != 2 or not all(isinstance(border, int | float) for border in terciles):  # noqa: PLR2004 - two borders part thirds
        raise EncoderInvalid(msg)
    return FeatureEncoding(feature, tuple(categories), (float(terciles[0]), float(terciles[1])))
