"""Open input: a flat Struct as plain values, within bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from server.errors import Reason, invalid_argument

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

MAX_FIELDS = 200


def flat_values(struct: Struct, path: str) -> dict[str, object]:
    """Return the fields of a flat Struct: numbers, texts, booleans, None.

    Raises:
        AnalyticsError: INPUT_SCHEMA_MISMATCH for too many fields, a nested value, or a number that is not finite.

    """
    if len(struct.fields) > MAX_FIELDS:
        raise invalid_argument(path, f"has more than {MAX_FIELDS} fields", Reason.INPUT_SCHEMA_MISMATCH)
    return {name: _plain(value, f"{path}.{name[:40]}") for name, value in struct.fields.items()}


def _plain(value: Value, path: str) -> object:
    match value.WhichOneof("kind"):
        case "number_value":
            if not math.isfinite(value.number_value):
                raise invalid_argument(path, "must be a finite number", Reason.INPUT_SCHEMA_MISMATCH)
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "null_value" | None:
            return None
        case _:
            raise invalid_argument(path, "must be a number, a text or true or false, not a list or an object", Reason.INPUT_SCHEMA_MISMATCH)
