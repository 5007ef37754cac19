"""The rows a training reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from server.facts.model import AttributeValue

TRAIN = "train"
"""Name of the job; its scope is the model type."""


@dataclass(frozen=True, slots=True)
class PooledRows:
    """Labelled rows by column; all sequences have the same length, None is an absent value.

    `contributors` is the number of organizations the rows come from, `cutoff` the date of the newest row.
    """

    columns: Mapping[str, Sequence[AttributeValue | None]]
    labels: Sequence[bool]
    contributors: int
    cutoff: date | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)
