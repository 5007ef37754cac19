"""Loaded models, one per version, for as long as the process lives."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from server.errors import AnalyticsError, Kind, Reason
from server.ml.forecaster import Forecaster
from server.ml.scoring import Scorer
from server.registry import store
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.db import Database
    from server.identity import ModelId
    from workers.outcomes import Loaded

_KEPT = 16


class Scorers:
    """Loads each version once; keeps the most recently used."""

    def __init__(self, db: Database) -> None:
        """Nothing is loaded yet."""
        self._db = db
        self._loaded: OrderedDict[ModelId, Loaded] = OrderedDict()
        self._loading = asyncio.Lock()

    async def get(self, model_id: ModelId, model_type: ModelType) -> Loaded:
        """Return the scorer, or of spend the forecaster, of a version.

        Raises:
            AnalyticsError: MODEL_NOT_FOUND, no artifact is stored or its bytes are not those that were registered.

        """
        async with self._loading:
            if model_id not in self._loaded:
                self._loaded[model_id] = await self._load(model_id, model_type)
                if len(self._loaded) > _KEPT:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(model_id)
            return self._loaded[model_id]

    async def _load(self, model_id: ModelId, model_type: ModelType) -> Loaded:
        async with self._db.platform() as tx:
            artifact = await store.artifact(tx, model_id)
        if artifact is None:
            raise AnalyticsError(Kind.NOT_FOUND, Reason.MODEL_NOT_FOUND, "the model version of the job has no artifact")
        if not artifact.intact:
            raise AnalyticsError(Kind.NOT_FOUND, Reason.MODEL_NOT_FOUND, "the artifact of the model version is damaged")
        try:
            return await asyncio.to_thread(loading(model_type), artifact.content, artifact.card)
        except (ValueError, KeyError, TypeError):
            raise AnalyticsError(Kind.NOT_FOUND, Reason.MODEL_NOT_FOUND, "the card of the model version is damaged") from None


def loading(model_type: ModelType) -> Callable[[bytes, Mapping[str, object]], Loaded]:
    """How a version of a type is read from what is stored."""
    return Forecaster.load if model_type is ModelType.SPEND_FORECASTING else Scorer.load
