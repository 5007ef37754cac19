"""Run the job `weekly_retraining`: the four types one after the other; what one lacks does not stop the others.

Ids are derived from the run and the type, so a run that is taken again goes on where it stopped: a version that is registered is
not trained again, and one that was judged is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid5

import structlog

from server.errors import AnalyticsError
from server.registry.model import ModelState, ModelType
from workers.strategies import STRATEGIES
from workers.training import train_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.app import App
    from server.schedule.model import Claim

    Progress = Callable[[float, str], None]

_log = structlog.get_logger(__name__)


async def retrain_all(app: App, claim: Claim, progress: Progress) -> Mapping[str, object]:
    """Train every type anew; returns the JSON result of the run: for each type the version, its state, and why it is not active."""
    types = list(STRATEGIES)
    results: list[Mapping[str, object]] = []
    for place, model_type in enumerate(types):

        def tell(share: float, words: str, place: int = place, model_type: ModelType = model_type) -> None:
            progress((place + share) / len(types), f"{model_type}: {words}")

        results.append(await _retrain(app, claim, model_type, tell))
    return {"types": results}


async def _retrain(app: App, claim: Claim, model_type: ModelType, progress: Progress) -> Mapping[str, object]:
    try:
        model, _ = await train_type(app, model_type, uuid5(claim.run_id, f"model/{model_type}"), progress)
    except AnalyticsError as error:
        _log.info("retraining.not_done", model_type=model_type.value, reason=error.reason)
        return _result(model_type, reason=f"{error.reason}: {error.message}")
    return _result(model_type, str(model.model_id), model.version, model.state, model.failure_reason)


def _result(model_type: ModelType, model_id: str = "", version: str = "", state: str = "", reason: str = "") -> Mapping[str, object]:
    return {
        "model_type": model_type.value,
        "model_id": model_id,
        "version": version,
        "state": str(state),
        "activated": state in (ModelState.ACTIVE, ModelState.DEPRECATED),
        "reason": reason,
    }
