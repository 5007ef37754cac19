"""Events of insights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class InsightEvent:
    """What every event of an insight says; never its texts or numbers.

    `fingerprint` is in hexadecimal; `revision` is the insight's after the change, of which each has one event.
    """

    type: ClassVar[str]
    insight_id: UUID
    category: str
    insight_type: str
    fingerprint: str
    revision: int

    @property
    def subject(self) -> str:
        """What the event is about."""
        return f"insight/{self.insight_id}"

    @property
    def identity(self) -> str:
        """What makes the event the same one."""
        return f"{self.type}/{self.insight_id}/{self.revision}"

    def payload(self) -> Mapping[str, object]:
        """Return what is stored."""
        return {
            "insight_id": str(self.insight_id),
            "category": self.category,
            "insight_type": self.insight_type,
            "fingerprint": self.fingerprint,
            "revision": self.revision,
        }


class InsightCreated(InsightEvent):
    """Something was found for the first time."""

    type = "insight.created"


class InsightUpdated(InsightEvent):
    """An insight was found again and says something new."""

    type = "insight.updated"


class InsightReopened(InsightEvent):
    """A dismissed insight got worse and is shown again."""

    type = "insight.reopened"


class InsightDismissed(InsightEvent):
    """A user dismissed an insight."""

    type = "insight.dismissed"
