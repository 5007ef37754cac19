"""The event of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class BenchmarkUpdated:
    """A release of the benchmarks was published; it concerns every organization and names none.

    Says how many cells show figures and how many are withheld.
    """

    type: ClassVar[str] = "benchmark.updated"
    number: int
    cells_published: int
    cells_withheld: int

    @property
    def subject(self) -> str:
        """What the event is about."""
        return f"benchmark_release/{self.number}"

    @property
    def identity(self) -> str:
        """What makes the event the same one: a release is published once."""
        return f"{self.type}/{self.number}"

    def payload(self) -> Mapping[str, object]:
        """Return what is stored."""
        return {"release": self.number, "cells_published": self.cells_published, "cells_withheld": self.cells_withheld}
