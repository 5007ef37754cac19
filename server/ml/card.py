"""The card of a model version: all that scoring needs beside the trees, as one plain JSON value.

Training writes it, scoring reads it; the format's number grows when an older reader would misread it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.ml.calibration import Calibration
from server.ml.encoding import Encoder
from server.ml.schema import FeatureSchema

FORMAT = 1


class CardInvalid(ValueError):
    """The value is not a card of a known format."""


@dataclass(frozen=True, slots=True)
class Card:
    """What was fitted beside the trees.

    Args:
        schema: the features of the model version.
        encoder: how they become the matrix.
        calibration: from log-odds to probability.
        settings: how the trees were grown, for the record only.

    """

    schema: FeatureSchema
    encoder: Encoder
    calibration: Calibration
    settings: Mapping[str, str | int | float]

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {
            "format": FORMAT,
            "schema": self.schema.to_json(),
            "encoder": self.encoder.to_json(),
            "calibration": self.calibration.to_json(),
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Card:
        """Read what `to_json` wrote.

        Raises:
            CardInvalid: the format is unknown.
            SchemaInvalid, EncoderInvalid, CalibrationInvalid: a part is not what it should be.

        """
        settings = data.get("settings")
        if data.get("format") != FORMAT or not isinstance(settings, Mapping):
            msg = f"only cards of format {FORMAT} are known"
            raise CardInvalid(msg)
        schema = FeatureSchema.from_json(data.get("schema"))
        encoder = Encoder.from_json(schema, data.get("encoder"))
        return cls(schema, encoder, Calibration.from_json(data.get("calibration")), dict(settings))
