"""Judge a candidate against the active version on the same rows, keep the evidence, and swap.

What always holds: the swap is one transaction that checks that the version the candidate was compared with is still the active
one; when another one is by then, the comparison is made again. A version that cannot be judged, or whose bytes are not those that
were registered, does not become active; an active one of which only damaged bytes are left has no say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.db.engines import DbRole
from server.errors import AnalyticsError, Kind, Reason
from server.ml.training import TrainingDataInsufficient
from server.registry import store as registry
from server.registry.model import Evidence, Failure, ModelState
from workers.strategies.model import Rival

if TYPE_CHECKING:
    from server.app import App
    from server.db import ReadTx, Tx
    from server.identity import ModelId
    from server.registry.model import Artifact, Model
    from workers.strategies.model import Course

_COMPARISONS = 5
_EQUAL = 1e-12
"""Losses this close are equal; of equal versions the one with the newer rows is taken."""


class _Damaged(Exception):
    """The bytes of the candidate are not those that were registered."""


async def settle(app: App, course: Course, model_id: ModelId) -> Model:
    """Bring a TRAINING version to ACTIVE or FAILED; a version that is past that is returned as it is.

    Raises:
        AnalyticsError: CONCURRENT_UPDATE, other versions were activated again and again meanwhile.

    """
    for _ in range(_COMPARISONS):
        async with app.db.platform(DbRole.TRAINER) as tx:
            model = await _known(tx, model_id)
            active = await registry.active(tx, model.type)
            candidate = await registry.artifact(tx, model_id)
            rival = None if active is None else await registry.artifact(tx, active.model_id)
        if model.state is not ModelState.TRAINING or candidate is None:
            return model
        try:
            evidence = await asyncio.to_thread(_compare, course, candidate, active, rival)
        except TrainingDataInsufficient as error:
            return await _failed(app, model_id, Failure.CANNOT_BE_JUDGED, f"cannot be judged: {error}")
        except _Damaged:
            return await _failed(app, model_id, Failure.DAMAGED, Failure.DAMAGED.value)
        async with app.db.platform(DbRole.TRAINER) as tx:
            await registry.lock(tx, model.type)
            if await _end(tx, model, evidence, course.objection(model.metrics)):
                return await _known(tx, model_id)
    raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "other versions were activated meanwhile, again and again; train anew")


def worse(evidence: Evidence) -> str:
    """Why the version may not take the place of the active one; empty when it may."""
    if evidence.active is None or evidence.candidate <= evidence.active + _EQUAL:
        return ""
    return (
        f"worse than the active version {evidence.active_version} on the same {evidence.rows} rows: "
        f"{evidence.measure} {evidence.candidate:.4f} against {evidence.active:.4f}"
    )


def _compare(course: Course, candidate: Artifact, active: Model | None, rival: Artifact | None) -> Evidence:
    if not candidate.intact:
        raise _Damaged
    known = rival if rival is not None and rival.intact else None
    judged = course.judge(candidate, None if active is None or known is None else Rival(known, active.training_cutoff.date()))
    return Evidence(
        rule=judged.rule,
        rows=judged.rows,
        measure=judged.measure,
        candidate=judged.candidate,
        baseline=judged.baseline,
        active=judged.active,
        active_version="" if active is None else active.version,
        active_id="" if active is None else str(active.model_id),
    )


async def _end(tx: Tx, model: Model, evidence: Evidence, objection: str) -> bool:
    """Activate or fail the version; False when another version is active by now than the one it was compared with."""
    current = await registry.active(tx, model.type)
    if ("" if current is None else str(current.model_id)) != evidence.active_id:
        return False
    await registry.prove(tx, model.model_id, evidence)
    if reason := objection or worse(evidence):
        await registry.fail(tx, model.model_id, Failure.NOT_GOOD_ENOUGH if objection else Failure.WORSE, reason)
        return True
    return await registry.swap_active(tx, model.type, model.model_id, None if current is None else current.model_id)


async def _failed(app: App, model_id: ModelId, failure: Failure, reason: str) -> Model:
    async with app.db.platform(DbRole.TRAINER) as tx:
        await registry.fail(tx, model_id, failure, reason)
        return await _known(tx, model_id)


async def _known(tx: ReadTx, model_id: ModelId) -> Model:
    model = await registry.get(tx, model_id)
    if model is None:
        msg = "a version that was registered is missing"
        raise LookupError(msg)
    return model
