"""What a model reads: its features, and the check of one raw input against them.

A schema belongs to a model version and is stored with it as JSON. What always holds: a problem names the feature and
the rule, never the value, and two inputs that mean the same (also absent and None) have the same clean form, because
callers hash it. Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from server.ml.features import PROTECTED, FeatureSpec, FeatureValue, SchemaInvalid

MAX_FIELDS = 200
MAX_PROBLEMS = 16
MAX_SUGGESTIONS = 3
MAX_SHOWN_NAME = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one feature; `description` says what is allowed and never repeats the value."""

    feature: str
    description: str


class InputInvalid(ValueError):
    """An input does not fit its schema; `problems` say where."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems; the text joins them."""
        super().__init__("; ".join(f"{problem.feature}: {problem.description}" for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """The features of a model version, in a fixed order."""

    features: tuple[FeatureSpec, ...]

    def __post_init__(self) -> None:
        """Refuse an empty schema and one that names a feature twice."""
        names = [feature.name for feature in self.features]
        if not names or len(names) > MAX_FIELDS:
            msg = f"a schema has 1 to {MAX_FIELDS} features"
            raise SchemaInvalid(msg)
        if len(set(names)) != len(names):
            msg = "a schema names each feature once"
            raise SchemaInvalid(msg)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    def check(self, raw: Mapping[str, object]) -> list[Problem]:
        """Everything that is wrong with an input, at most `MAX_PROBLEMS`; empty when it fits."""
        return self._examine(raw)[1]

    def clean(self, raw: Mapping[str, object]) -> dict[str, FeatureValue]:
        """The input in its canonical form: known features only, in schema order, absent ones left out.

        Raises:
            InputInvalid: the input does not fit.

        """
        cleaned, problems = self._examine(raw)
        if problems:
            raise InputInvalid(problems)
        return cleaned

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {"features": [feature.to_json() for feature in self.features]}

    @classmethod
    def from_json(cls, data: object) -> FeatureSchema:
        """Read what `to_json` wrote.

        Raises:
            SchemaInvalid: it is something else.

        """
        if not isinstance(data, Mapping) or not isinstance(data.get("features"), Sequence):
            msg = "a schema is an object with a list of features"
            raise SchemaInvalid(msg)
        return cls(tuple(FeatureSpec.from_json(item) for item in data["features"]))

    def _examine(self, raw: Mapping[str, object]) -> tuple[dict[str, FeatureValue], list[Problem]]:
        if len(raw) > MAX_FIELDS:
            return {}, [Problem("features", f"must have at most {MAX_FIELDS} fields")]
        cleaned: dict[str, FeatureValue] = {}
        problems: list[Problem] = []
        for feature in self.features:
            try:
                value = feature.clean(raw.get(feature.name))
            except ValueError as error:
                problems.append(Problem(feature.name, str(error)))
                continue
            if value is not None:
                cleaned[feature.name] = value
            elif feature.required:
                problems.append(Problem(feature.name, "is required"))
        known = set(self.names)
        unknown = sorted(set(raw) - known)
        # A slip of the pen gets a suggestion; looking for one costs a millisecond, so many wrong names get none.
        candidates = self.names if len(unknown) <= MAX_SUGGESTIONS else ()
        problems.extend(_unknown(name, candidates) for name in unknown[:MAX_PROBLEMS])
        return cleaned, problems[:MAX_PROBLEMS]


def _unknown(name: str, known: Sequence[str]) -> Problem:
    # The name is the caller's text: shown so that it can be found, shortened so that it cannot fill an error.
    shown = "".join(character if character.isprintable() else "?" for character in name[:MAX_SHOWN_NAME])
    lowered = name[:MAX_SHOWN_NAME].lower()
    if lowered in PROTECTED:
        return Problem(shown, "is a protected attribute and never a feature")
    close = get_close_matches(lowered, known, n=1, cutoff=0.7)
    return Problem(shown, f"is not a feature of this model; did you mean {close[0]}?" if close else "is not a feature of this model")
