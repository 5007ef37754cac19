"""The event of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date


@dataclass(frozen=True, slots=True)
class BenchmarkUpdated:
    """Benchmarks of a month were calculated; `revision` is 1 for the first time, and one more for each that replaced it.

    Says how many cells may be read and how many are withheld, and nothing of any organization.
    """

    type: ClassVar[str] = "benchmark.updated"
    period: date
    cells_published: int
    cells_withheld: int
    revision: int = 1

    @property
    def subject(self) -> str:
        """What the event is about."""
        return f"benchmark/{self.period:%Y-%m}"

    @property
    def identity(self) -> str:
        """What makes the event the same one."""
        return f"{self.type}/{self.period:%Y-%m}/{self.revision}"

    def payload(self) -> Mapping[str, object]:
        """Return what is stored."""
        return {
            "period": self.period.isoformat(),
            "cells_published": self.cells_published,
            "cells_withheld": self.cells_withheld,
            "revision": self.revision,
        }
