"""The active models of a run, loaded once before the first organization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from server.insights.detect.inputs import ModelUsed
from server.ml.forecaster import Forecaster
from server.ml.scoring import Scorer
from server.registry import store as registry
from server.registry.model import ModelType

if TYPE_CHECKING:
    from server.app import App
    from workers.scorers import Scorers

Loaded = TypeVar("Loaded", Scorer, Forecaster)


@dataclass(frozen=True, slots=True)
class Ready(Generic[Loaded]):
    """A loaded version and how findings name it."""

    model: Loaded
    used: ModelUsed


@dataclass(frozen=True, slots=True)
class Models:
    """What can be scored tonight; None where no version is active."""

    turnover: Ready[Scorer] | None = None
    contract_risk: Ready[Scorer] | None = None
    spend: Ready[Forecaster] | None = None


async def active_models(app: App, scorers: Scorers) -> Models:
    """Load the active version of every type that the run uses."""
    return Models(
        turnover=await _ready(app, scorers, ModelType.TURNOVER_PREDICTION, Scorer),
        contract_risk=await _ready(app, scorers, ModelType.CONTRACT_RISK, Scorer),
        spend=await _ready(app, scorers, ModelType.SPEND_FORECASTING, Forecaster),
    )


async def _ready(app: App, scorers: Scorers, model_type: ModelType, kind: type[Loaded]) -> Ready[Loaded] | None:
    async with app.db.platform() as tx:
        model = await registry.active(tx, model_type)
    if model is None:
        return None
    loaded = await scorers.get(model.model_id, model_type)
    if not isinstance(loaded, kind):
        msg = f"the active version of {model_type} is no {kind.__name__}"
        raise TypeError(msg)
    return Ready(loaded, ModelUsed(model_type.value, model.version))
