"""One feature of a model: its name, its kind, its range, and the canonical form of one value.

What always holds: an error says what is allowed and never repeats the value, two values that mean the same (3 and 3.0,
`rarely` and `BUSINESS_TRAVEL_RARELY`) have the same clean form, and a protected attribute cannot be a feature. Imports
the standard library only.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

FeatureValue = float | int | bool | str

MAX_TEXT = 128
_MAX_EXACT = 2**53 - 1  # beyond it whole numbers are no longer told apart, and RFC 8785 refuses them
_TYPE_NAMES = {"number": "a number", "integer": "a whole number", "boolean": "true or false", "category": "a text"}

PROTECTED = frozenset(
    {
        "age",
        "birth_date",
        "date_of_birth",
        "disability",
        "ethnicity",
        "gender",
        "marital_status",
        "nationality",
        "pregnancy",
        "race",
        "religion",
        "sex",
        "sexual_orientation",
    }
)
"""Names that no schema may contain."""


class FeatureKind(StrEnum):
    """How a feature's value is read."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"


class SchemaInvalid(ValueError):
    """A schema contradicts itself, or its JSON is not a schema."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature.

    Args:
        name: snake_case name, as in the input.
        kind: how its value is read.
        required: whether an input without it is refused.
        minimum: smallest allowed number, inclusive; None for no bound or no number.
        maximum: largest allowed number, inclusive.
        values: the allowed texts of a closed category, lower case; empty for an open one.

    """

    name: str
    kind: FeatureKind
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a contradiction."""
        if self.name in PROTECTED:
            msg = f"{self.name}: a protected attribute is never a feature"
            raise SchemaInvalid(msg)
        if not self.name.isidentifier() or self.name != self.name.lower():
            msg = "the name of a feature is a snake_case identifier"
            raise SchemaInvalid(msg)
        if self.is_numeric:
            if self.values:
                msg = f"{self.name}: only a category has values"
                raise SchemaInvalid(msg)
            if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
                msg = f"{self.name}: minimum is above maximum"
                raise SchemaInvalid(msg)
        elif self.minimum is not None or self.maximum is not None:
            msg = f"{self.name}: only a number has bounds"
            raise SchemaInvalid(msg)

    @property
    def is_numeric(self) -> bool:
        """Whether values are ordered numbers."""
        return self.kind in {FeatureKind.NUMBER, FeatureKind.INTEGER}

    def clean(self, value: object) -> FeatureValue | None:
        """The value in its canonical form; None when it means absent.

        Raises:
            ValueError: it is of the wrong type or out of range; the text says what is allowed.

        """
        if value is None:
            return None
        if self.kind is FeatureKind.BOOLEAN:
            if not isinstance(value, bool):
                raise ValueError(_expected(self))
            return value
        if self.kind is FeatureKind.CATEGORY:
            return self._clean_text(value)
        return self._clean_number(value)

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "required": self.required,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "values": list(self.values),
        }

    @classmethod
    def from_json(cls, item: object) -> FeatureSpec:
        """Read what `to_json` wrote.

        Raises:
            SchemaInvalid: it is something else.

        """
        msg = "a feature has name, kind, required, minimum, maximum and values"
        if not isinstance(item, Mapping):
            raise SchemaInvalid(msg)
        name, kind, required = item.get("name"), item.get("kind"), item.get("required")
        values = item.get("values")
        if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(required, bool):
            raise SchemaInvalid(msg)
        if kind not in set(FeatureKind) or not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise SchemaInvalid(msg)
        return cls(name, FeatureKind(kind), required, _bound(item.get("minimum")), _bound(item.get("maximum")), tuple(values))

    def _clean_number(self, value: object) -> float | int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(_expected(self))  # noqa: TRY004 - one error type for everything a value can be
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            msg = "must be a finite number" if isinstance(value, float) else _range(self)
            raise ValueError(msg)
        if self.kind is FeatureKind.INTEGER and (not number.is_integer() or abs(number) > _MAX_EXACT):
            raise ValueError(_expected(self))
        if (self.minimum is not None and number < self.minimum) or (self.maximum is not None and number > self.maximum):
            raise ValueError(_range(self))
        # + 0.0 turns -0.0 into 0.0: the two are equal and must hash alike.
        return int(number) if self.kind is FeatureKind.INTEGER else number + 0.0

    def _clean_text(self, value: object) -> str | None:
        if not isinstance(value, str):
            raise ValueError(_expected(self))  # noqa: TRY004 - one error type for everything a value can be
        if len(value) > MAX_TEXT:
            msg = f"must have at most {MAX_TEXT} characters"
            raise ValueError(msg)
        if any("\ud800" <= character <= "\udfff" for character in value):
            msg = "must be valid Unicode text"
            raise ValueError(msg)
        text = category_key(value)
        if not text:
            msg = "must not be empty"
            raise ValueError(msg)
        if not self.values:
            return text
        choice = text.lower().removeprefix(f"{self.name}_")
        if choice == "unspecified":
            return None
        if choice not in self.values:
            msg = f"must be one of {', '.join(self.values)}"
            raise ValueError(msg)
        return choice


def category_key(text: str) -> str:
    """The form in which two spellings of a category are compared: Unicode NFC (UAX 15), no blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def _expected(feature: FeatureSpec) -> str:
    return f"must be {_TYPE_NAMES[feature.kind.value]}"


def _range(feature: FeatureSpec) -> str:
    if feature.minimum is not None and feature.maximum is not None:
        return f"must be from {feature.minimum:,.12g} to {feature.maximum:,.12g}"
    if feature.minimum is not None:
        return f"must be at least {feature.minimum:,.12g}"
    return f"must be at most {feature.maximum:,.12g}" if feature.maximum is not None else "must be a finite number"


def _bound(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = "a bound of a feature is a number"
        raise SchemaInvalid(msg)
    return float(value)
