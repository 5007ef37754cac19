"""Rows with a known truth, made from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema

if TYPE_CHECKING:
    from server.ml.features import FeatureValue

SCHEMA = FeatureSchema(
    (
        FeatureSpec("pay", FeatureKind.NUMBER, required=True, minimum=0, maximum=100_000),
        FeatureSpec("level", FeatureKind.INTEGER, minimum=1, maximum=5),
        FeatureSpec("over_time", FeatureKind.BOOLEAN),
        FeatureSpec("unit", FeatureKind.CATEGORY),
        FeatureSpec("noise", FeatureKind.NUMBER),
    )
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Columns, labels and the probability that each label was drawn with."""

    columns: dict[str, list[FeatureValue | None]]
    labels: list[bool]
    truth: list[float]

    def row(self, position: int) -> dict[str, FeatureValue]:
        """One row without its absent features."""
        values = {name: column[position] for name, column in self.columns.items()}
        return {name: value for name, value in values.items() if value is not None}


def sample(count: int, seed: int = 0) -> Sample:
    """Rows whose outcome depends on overtime, level and unit; a tenth of the levels is absent."""
    generator = np.random.default_rng(seed)
    level = generator.integers(1, 6, count)
    over_time = generator.random(count) < 0.3
    unit = generator.choice(["Sales", "Support", "Research", "Lab 7"], count, p=[0.5, 0.29, 0.2, 0.01])
    truth = 1 / (1 + np.exp(1.2 + 0.5 * (level - 3) - 1.6 * over_time - 0.8 * (unit == "Sales")))
    known = generator.random(count) > 0.1
    columns: dict[str, list[FeatureValue | None]] = {
        "pay": generator.uniform(1000, 9000, count).tolist(),
        "level": [int(value) if here else None for value, here in zip(level, known, strict=True)],
        "over_time": over_time.tolist(),
        "unit": unit.tolist(),
        "noise": generator.normal(size=count).tolist(),
    }
    return Sample(columns, (generator.random(count) < truth).tolist(), truth.tolist())
