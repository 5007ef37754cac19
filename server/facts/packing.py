"""Many rows as few values: numbers as the bytes that numpy reads, the texts of a column as one string.

A value at a time is most of what many rows cost to read. What always holds: all columns of one statement are in the same order,
whichever that is, because one pass over its rows makes them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from server.ml.encoding import Coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.db.transaction import Record

_AT_ONCE = 4
_BETWEEN, _ABSENT = "\x1f", "\x01"
"""What parts texts and stands for one that is absent: no text of a fact has a control character."""


def number(expression: str) -> str:
    """Return the SQL of a number or a date's day since 1970, NaN for NULL; of a truth value 1 or 0."""
    return f"coalesce(CAST({expression} AS float8), 'NaN')"


def truth(expression: str) -> str:
    """Return the SQL of a truth value as 1 or 0, NaN for NULL."""
    return number(f"CAST({expression} AS integer)")


@dataclass(frozen=True, slots=True)
class Packed:
    """Columns of n rows.

    Args:
        numbers: by name (n,), NaN for absent.
        texts: by name, as they were; `coded` tells those that are absent.

    """

    numbers: Mapping[str, npt.NDArray[np.float64]]
    texts: Mapping[str, Sequence[str]]

    def coded(self, name: str) -> Coded:
        """Return a column of texts of which few differ."""
        return Coded.of(self.texts[name], absent=_ABSENT)


@dataclass(frozen=True, slots=True)
class Packing:
    """Which columns.

    Args:
        numbers: SQL by name, of what `number` and `truth` make; at least one.
        texts: SQL by name.

    """

    numbers: Mapping[str, str]
    texts: Mapping[str, str]

    @property
    def columns(self) -> str:
        """What to select: aggregates, so that a statement may group its rows into parts of a size that fits into a message."""
        texts = (f"string_agg(coalesce({text}, chr({ord(_ABSENT)})), chr({ord(_BETWEEN)})) AS {name}" for name, text in self.texts.items())
        return ", ".join([*texts, *map(self._together, range(self._parts))])

    def read(self, parts: Sequence[Record]) -> Packed:
        """Return the columns of all parts, one part after the other; without rows they are empty."""
        found = [part for part in parts if part["numbers_0"] is not None]
        values = b"".join(part[f"numbers_{place}"] for place in range(self._parts) for part in found)
        packed = np.frombuffer(values, ">f8").reshape(self._parts, -1, _AT_ONCE)
        columns = packed.transpose(0, 2, 1).astype(np.float64).reshape(self._parts * _AT_ONCE, -1)
        texts = {name: _BETWEEN.join(part[name] for part in found).split(_BETWEEN) if found else [] for name in self.texts}
        return Packed(dict(zip(self.numbers, columns, strict=False)), texts)

    @property
    def _parts(self) -> int:
        return -(-len(self.numbers) // _AT_ONCE)

    def _together(self, place: int) -> str:
        """Four numbers of every row as the ends of a line segment: sent one by one they take half as long again."""
        begin = place * _AT_ONCE
        one, two, three, four = [*self.numbers.values(), *["CAST('NaN' AS float8)"] * (_AT_ONCE - 1)][begin : begin + _AT_ONCE]
        return f"string_agg(lseg_send(lseg(point({one}, {two}), point({three}, {four}))), '') AS numbers_{place}"
