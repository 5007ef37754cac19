"""Events of insights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.identity import InsightId


@dataclass(frozen=True, slots=True)
class InsightEvent:
    """What every event of an insight says; never its text or its data points, which whoever may see them reads by its id.

    Nor a hash of what it is about: who knows or guesses the key of a contract could tell it in an event that outlives its erasure.
    """

    type: ClassVar[str]
    insight_id: InsightId
    category: str
    insight_type: str
    revision: int

    @property
    def subject(self) -> str:
        """What the event is about."""
        return f"insight/{self.insight_id}"

    @property
    def identity(self) -> str:
        """What makes the event the same one: a revision of an insight has one."""
        return f"{self.type}/{self.insight_id}/{self.revision}"

    def payload(self) -> Mapping[str, object]:
        """Return what is stored."""
        return {
            "insight_id": str(self.insight_id),
            "category": self.category,
            "insight_type": self.insight_type,
            "revision": self.revision,
        }


class InsightCreated(InsightEvent):
    """A subject was found for the first time."""

    type = "insight.created"


class InsightUpdated(InsightEvent):
    """An active insight says something else, or was withdrawn: a later run no longer found it."""

    type = "insight.updated"


class InsightReopened(InsightEvent):
    """An insight came back: it got worse after a dismissal, or was found again after it had expired."""

    type = "insight.reopened"


class InsightDismissed(InsightEvent):
    """Somebody dismissed an insight."""

    type = "insight.dismissed"
