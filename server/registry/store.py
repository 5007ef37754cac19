"""All SQL of models."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, text, tuple_, update

from server.db import now
from server.events import store as events
from server.events.model import Cause
from server.events.models import ModelActivated, ModelDeprecated, ModelFailed
from server.identity import ModelId
from server.registry.model import Artifact, Evidence, Model, ModelState, ModelType
from server.registry.tables import shared_model_artifacts, shared_model_evaluations, shared_models
from server.telemetry.tracing import inject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from server.db import ReadTx, Tx
    from server.db.transaction import Record
    from server.events.models import ModelEvent
    from server.registry.model import Candidate, Failure, Json

_models = shared_models.c
_LOCK = text("SELECT pg_advisory_xact_lock(3, hashtext(:model_type))")

_ACTIVE = select(shared_models).where(_models.type == bindparam("model_type"), _models.state == ModelState.ACTIVE)


async def active(tx: ReadTx, model_type: ModelType) -> Model | None:
    """Return the active version of a shared type."""
    row = await tx.first(_ACTIVE, {"model_type": model_type})
    return None if row is None else _model(row)


async def get(tx: ReadTx, model_id: ModelId) -> Model | None:
    """Return a version."""
    row = await tx.first(select(shared_models).where(_models.model_id == model_id))
    return None if row is None else _model(row)


async def artifact(tx: ReadTx, model_id: ModelId) -> Artifact | None:
    """Return what scoring with a version needs."""
    joined = shared_model_artifacts.join(shared_models)
    row = await tx.first(
        select(shared_model_artifacts.c.content, shared_model_artifacts.c.card, _models.artifact_sha256)
        .select_from(joined)
        .where(_models.model_id == model_id)
    )
    return None if row is None else Artifact(bytes(row.content), row.artifact_sha256, row.card)


async def evaluation(tx: ReadTx, model_id: ModelId) -> Json | None:
    """Return what there is to draw of a version; None when there is no such version, or nothing was stored with it."""
    row = await tx.first(select(shared_model_evaluations.c.evaluation).where(shared_model_evaluations.c.model_id == model_id))
    return None if row is None else row.evaluation


async def page(
    tx: ReadTx, model_type: ModelType | None, state: ModelState | None, before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Model]:
    """Return at most `limit` versions, newest first, older than the cursor `before`."""
    query = select(shared_models).order_by(_models.created_at.desc(), _models.model_id.desc()).limit(limit)
    if model_type is not None:
        query = query.where(_models.type == model_type)
    if state is not None:
        query = query.where(_models.state == state)
    if before is not None:
        query = query.where(tuple_(_models.created_at, _models.model_id) < tuple_(*before))
    return [_model(row) for row in await tx.all(query)]


async def versions(tx: ReadTx, model_type: ModelType) -> Sequence[str]:
    """Return every version ever registered of a type."""
    return [row.version for row in await tx.all(select(_models.version).where(_models.type == model_type))]


async def schema(tx: ReadTx, model_type: ModelType, version: str) -> Json:
    """Return the feature schema of a version that is registered."""
    row = await tx.one(select(_models.schema).where(_models.type == model_type, _models.version == version))
    found: Json = row.schema
    return found


async def add(tx: Tx, model_id: ModelId, name: str, version: str, candidate: Candidate) -> None:
    """Register a candidate, TRAINING, with its artifact and what there is to draw of it."""
    await tx.run(
        insert(shared_models).values(
            model_id=model_id,
            name=name,
            type=candidate.type,
            version=version,
            state=ModelState.TRAINING,
            training_cutoff=candidate.training_cutoff,
            metrics=dict(candidate.metrics),
            schema=dict(candidate.schema),
            training_rows=candidate.training_rows,
            artifact_sha256=candidate.artifact.sha256,
            created_at=now(),
        )
    )
    await tx.run(
        insert(shared_model_artifacts).values(model_id=model_id, content=candidate.artifact.content, card=dict(candidate.artifact.card))
    )
    await tx.run(insert(shared_model_evaluations).values(model_id=model_id, evaluation=dict(candidate.evaluation)))


async def lock(tx: Tx, model_type: ModelType) -> None:
    """Let one transaction at a time number and activate versions of a type; a statement of its own, so what follows sees the last one."""
    await tx.one(_LOCK, {"model_type": model_type.value})


async def prove(tx: Tx, model_id: ModelId, evidence: Evidence) -> None:
    """Store what a TRAINING version was judged by."""
    await tx.run(
        update(shared_models).where(_models.model_id == model_id, _models.state == ModelState.TRAINING).values(evidence=asdict(evidence))
    )


async def swap_active(tx: Tx, model_type: ModelType, model_id: ModelId, instead_of: ModelId | None) -> bool:
    """Make a TRAINING version the active one; the one before becomes DEPRECATED in the same transaction. Both are told.

    Nothing is changed, and False returned, when the active version is not `instead_of` (None: there is one), or the version is
    not TRAINING any more. The caller holds the `lock`.
    """
    current = await active(tx, model_type)
    if (None if current is None else current.model_id) != instead_of:
        return False
    fresh = await get(tx, model_id)
    if fresh is None or fresh.state is not ModelState.TRAINING:
        return False
    before = await tx.first(
        update(shared_models)
        .where(_models.type == model_type, _models.state == ModelState.ACTIVE)
        .values(state=ModelState.DEPRECATED)
        .returning(_models.model_id, _models.version)
    )
    after = await tx.first(
        update(shared_models)
        .where(_models.model_id == model_id, _models.state == ModelState.TRAINING)
        .values(state=ModelState.ACTIVE, activated_at=now())
        .returning(_models.version, _models.activated_at)
    )
    occasion = "" if after is None else after.activated_at.isoformat()
    if before is not None:
        reason = "" if after is None else f"version {after.version} took its place"
        await _tell(tx, ModelDeprecated(ModelId(before.model_id), model_type, before.version, reason, occasion))
    if after is not None:
        reason = "there was no active version" if before is None else f"it took the place of version {before.version}"
        await _tell(tx, ModelActivated(model_id, model_type, after.version, reason, occasion))
    return True


async def fail(tx: Tx, model_id: ModelId, failure: Failure, reason: str) -> None:
    """Mark a TRAINING version as FAILED, and tell of it: `reason` has figures and stays here, for viewers of all tenants get the event."""
    failed = await tx.first(
        update(shared_models)
        .where(_models.model_id == model_id, _models.state == ModelState.TRAINING)
        .values(state=ModelState.FAILED, failure_reason=reason)
        .returning(_models.type, _models.version)
    )
    if failed is not None:
        await _tell(tx, ModelFailed(model_id, failed.type, failed.version, failure.value))


async def _tell(tx: Tx, event: ModelEvent) -> None:
    await events.append_shared(tx, event, Cause(str(event.model_id), inject()))


def _model(row: Record) -> Model:
    return Model(
        model_id=ModelId(row.model_id),
        name=row.name,
        type=ModelType(row.type),
        version=row.version,
        state=ModelState(row.state),
        training_cutoff=row.training_cutoff,
        metrics=row.metrics,
        schema=row.schema,
        training_rows=row.training_rows,
        artifact_sha256=row.artifact_sha256,
        created_at=row.created_at,
        activated_at=row.activated_at,
        failure_reason=row.failure_reason,
        evidence=None if row.evidence is None else Evidence(**row.evidence),
    )
