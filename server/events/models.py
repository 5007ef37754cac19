"""Events of shared model versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.identity import ModelId


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """What every event of a model version says.

    `occasion` tells two events of one kind and version apart: a version that is rolled back to is active a second time.
    """

    type: ClassVar[str]
    model_id: ModelId
    model_type: str
    version: str
    reason: str = ""
    occasion: str = ""

    @property
    def subject(self) -> str:
        """What the event is about."""
        return f"model/{self.model_id}"

    @property
    def identity(self) -> str:
        """What makes the event the same one."""
        return f"{self.type}/{self.model_id}/{self.occasion}"

    def payload(self) -> Mapping[str, object]:
        """Return what is stored."""
        return {"model_id": str(self.model_id), "model_type": self.model_type, "version": self.version, "reason": self.reason}


class ModelActivated(ModelEvent):
    """A version became the one that scores new predictions."""

    type = "model.activated"


class ModelDeprecated(ModelEvent):
    """A version gave way to another."""

    type = "model.deprecated"


class ModelFailed(ModelEvent):
    """A trained version stays out."""

    type = "model.failed"
