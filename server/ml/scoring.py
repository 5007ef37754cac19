"""One row to a calibrated probability and the features that moved it.

A `Scorer` is immutable and may be used by several threads at once. What always holds: a contribution names feature,
direction, size and a coarse band, never the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from server.ml.boosting import Classifier
from server.ml.card import Card
from server.ml.encoding import Band, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from server.ml.encoding import Columns, Matrix
    from server.ml.evaluation import Scores
    from server.ml.features import FeatureValue

    # What each column of the matrix added to one row.
    Columned = np.ndarray[tuple[int], np.dtype[np.float64]]

SHOWN = 8
"""How many contributions a score carries."""


class Direction(StrEnum):
    """Which way a feature moved the score."""

    INCREASES = "increases"
    DECREASES = "decreases"


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added: an exact Shapley value in log-odds before calibration, never 0."""

    feature: str
    direction: Direction
    value: float
    band: Band


@dataclass(frozen=True, slots=True)
class Explanation:
    """A margin taken apart: `bias` and the value of every feature of the schema add up to `margin`, in log-odds."""

    margin: float
    bias: float
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Score:
    """A prediction for one row.

    Args:
        probability: calibrated, 0 to 1.
        confidence: calibrated probability, 0.5 to 1, that the likelier outcome is right.
        contributions: the strongest first, at most `SHOWN`.

    """

    probability: float
    confidence: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Many rows that were scored together; what moved a row is worked out for those that are asked for.

    Args:
        probabilities: calibrated, (n,).

    """

    probabilities: Scores
    _scorer: Scorer
    _matrix: Matrix

    def moved(self, rows: npt.NDArray[np.intp]) -> Sequence[Sequence[tuple[str, float]]]:
        """Return all that moved the given rows, the strongest first, feature and value; about a tenth of a millisecond a row."""
        return self._scorer.moved(self._matrix[rows])


class Scorer:
    """A loaded model version."""

    def __init__(self, card: Card, classifier: Classifier) -> None:
        """Put the parts together; `load` makes them from what is stored."""
        self.schema = card.schema
        self._encoder = card.encoder
        self._calibration = card.calibration
        self._classifier = classifier
        self._origin = np.array(card.encoder.origin, dtype=np.intp)

    @classmethod
    def load(cls, artifact: bytes, card: Mapping[str, object]) -> Scorer:
        """Read a stored model; the caller has verified the artifact's SHA-256.

        Raises:
            CardInvalid: the card is of another format.
            SchemaInvalid, EncoderInvalid, CalibrationInvalid: a part of the card is not what it should be.
            ArtifactInvalid: the artifact is not a model for this card.

        """
        read = Card.from_json(card)
        return cls(read, Classifier.from_bytes(artifact, read.encoder.width))

    def score(self, features: Mapping[str, FeatureValue]) -> Score:
        """Score one row of clean features (`self.schema.clean`), about 1 ms.

        Raises:
            ValueError: a name is not a feature of the schema.

        """
        return self.scores([features])[0]

    def scores(self, rows: Sequence[Mapping[str, FeatureValue]]) -> Sequence[Score]:
        """Score rows of clean features together; each gets what it would get alone.

        Raises:
            ValueError: a name is not a feature of the schema.

        """
        matrix = self._encoder.transform(table(self.schema, self._columns(rows)))
        probabilities = self._calibration.apply(self._classifier.margins(matrix)).tolist()
        contributions = self._classifier.contributions(matrix)[:, :-1]
        return [
            Score(probability, max(probability, 1 - probability), self._explained(values, features))
            for probability, values, features in zip(probabilities, contributions, rows, strict=True)
        ]

    def explain(self, features: Mapping[str, FeatureValue]) -> Explanation:
        """Take one row's margin apart over all features; about 3 ms.

        Raises:
            ValueError: a name is not a feature of the schema.

        """
        matrix = self._encoder.transform(table(self.schema, self._columns([features])))
        contributions = self._classifier.contributions(matrix)[0]
        values = self._per_feature(contributions[:-1])
        margin = float(self._classifier.margins(matrix)[0])
        return Explanation(margin, float(contributions[-1]), dict(zip(self.schema.names, values, strict=True)))

    def probabilities(self, columns: Columns) -> list[float]:
        """Calibrated probabilities of many rows given as clean columns, without explanations.

        Raises:
            ValueError: the columns have different lengths, or one is not a feature.

        """
        probabilities: list[float] = self.batch(columns).probabilities.tolist()
        return probabilities

    def batch(self, columns: Columns) -> Batch:
        """Score many rows given as clean columns, of which a few are to be explained.

        Raises:
            ValueError: the columns have different lengths, or one is not a feature.

        """
        matrix = self._encoder.transform(table(self.schema, columns))
        return Batch(self._calibration.apply(self._classifier.margins(matrix)), self, matrix)

    def moved(self, matrix: Matrix) -> Sequence[Sequence[tuple[str, float]]]:
        """Return all that moved encoded rows, the strongest first and never 0: shares of it are shares of the whole."""
        if not len(matrix):
            return []
        names = self.schema.names
        contributions = self._classifier.contributions(matrix)[:, :-1]
        return [[(names[position], value) for position, value in self._strongest(values)] for values in contributions]

    def _columns(self, rows: Sequence[Mapping[str, FeatureValue]]) -> dict[str, list[FeatureValue | None]]:
        unknown = set().union(*rows) - set(self.schema.names)
        if unknown:
            msg = f"not features of this model: {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        return {name: [features.get(name) for features in rows] for name in self.schema.names}

    def _explained(self, columns: Columned, features: Mapping[str, FeatureValue]) -> tuple[Contribution, ...]:
        return tuple(self._contribution(position, value, features) for position, value in self._strongest(columns)[:SHOWN])

    def _strongest(self, columns: Columned) -> list[tuple[int, float]]:
        """Positions of the features that moved a row most, with what they added."""
        ordered = sorted(enumerate(self._per_feature(columns)), key=lambda item: (-abs(item[1]), item[0]))
        return [(position, value) for position, value in ordered if value != 0]

    def _per_feature(self, columns: Columned) -> list[float]:
        sums: list[float] = np.bincount(self._origin, weights=columns, minlength=len(self.schema.names)).tolist()
        return sums

    def _contribution(self, position: int, value: float, features: Mapping[str, FeatureValue]) -> Contribution:
        encoding = self._encoder.features[position]
        direction = Direction.INCREASES if value > 0 else Direction.DECREASES
        return Contribution(encoding.feature.name, direction, value, encoding.band(features.get(encoding.feature.name)))
