"""Run the job `weekly_retraining`: the four types, two at a time; what one lacks, or a defect in it, does not stop the others.

Ids are derived from the run and the type, so a run that is taken again goes on where it stopped: a version that is registered is
not trained again, and one that was judged is left as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid5

import structlog
from sqlalchemy.exc import DBAPIError

from server.db.statements import caused_by_data
from server.errors import AnalyticsError, Reason
from server.lifecycle import end
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
    """Train every type anew; returns the JSON result of the run: for each type the version, its state, and why it is not active.

    Raises:
        LeaseLost: the run belongs to another worker by now; nothing more is started.
        SQLAlchemyError: the database is away; what it cannot do with the rows of one type is in the line of that type.

    """
    retraining = _Retraining(app, claim, progress)
    lanes = [asyncio.create_task(retraining.lane(), name="retraining") for _ in range(app.settings.training_at_once)]
    try:
        await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        # Raises what one of them failed of, when all have stopped.
        await end(*lanes)
    return {"types": [retraining.results[model_type] for model_type in STRATEGIES]}


@dataclass(slots=True)
class _Retraining:
    """One taking of the run."""

    app: App
    claim: Claim
    progress: Progress
    waiting: deque[ModelType] = field(default_factory=lambda: deque(STRATEGIES))
    shares: dict[ModelType, float] = field(default_factory=dict)
    results: dict[ModelType, Mapping[str, object]] = field(default_factory=dict)

    async def lane(self) -> None:
        """Train types until none is left."""
        while self.waiting:
            model_type = self.waiting.popleft()
            self.results[model_type] = await _retrain(self.app, self.claim, model_type, self._teller(model_type))

    def _teller(self, model_type: ModelType) -> Progress:
        def tell(share: float, words: str) -> None:
            self.shares[model_type] = share
            # Called from several threads, and what one has just begun may be missing.
            self.progress(sum(list(self.shares.values())) / len(STRATEGIES), f"{model_type}: {words}")

        return tell


async def _retrain(app: App, claim: Claim, model_type: ModelType, progress: Progress) -> Mapping[str, object]:
    try:
        model, _ = await train_type(app, model_type, uuid5(claim.run_id, f"model/{model_type}"), progress)
    except AnalyticsError as error:
        _log.info("retraining.not_done", model_type=model_type.value, reason=error.reason)
        return _result(model_type, reason=f"{error.reason}: {error.message}")
    except (ValueError, TypeError, LookupError, ArithmeticError, DBAPIError) as error:
        # XGBoost's errors are ValueErrors. What may pass (database, lost lease) is left to the run, which is taken again and goes on here.
        if isinstance(error, DBAPIError) and not caused_by_data(error):
            raise
        _log.exception("retraining.failed", model_type=model_type.value)
        return _result(model_type, reason=f"{Reason.INTERNAL}: a defect on our side ended the training")
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
