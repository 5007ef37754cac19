"""Register a trained candidate and make it the active version of its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.identity import ModelId
from server.registry import store
from server.registry.model import Version

if TYPE_CHECKING:
    from uuid import UUID

    from server.db import Tx
    from server.registry.model import Candidate, Model

FIRST_VERSION = "1.0.0"


async def register_candidate(tx: Tx, model_id: UUID, candidate: Candidate) -> Model:
    """Store the candidate as TRAINING under the next version: minor for the feature schema of the newest version, else major.

    The newest one counts, whatever became of it: else each candidate after a rejected one of a new schema would be a major version
    more. Waits for other candidates of the type, so that no two get the same version.
    """
    await store.lock(tx, candidate.type)
    known = [Version.parse(text) for text in await store.versions(tx, candidate.type)]
    version = FIRST_VERSION
    if known:
        newest = max(known, key=lambda version: (version.major, version.minor, version.patch))
        same_schema = await store.schema(tx, candidate.type, str(newest)) == candidate.schema
        version = str(newest.next_minor() if same_schema else newest.next_major())
    name = f"{candidate.type.value.replace('_', ' ').capitalize()} {version}"
    await store.add(tx, ModelId(model_id), name, version, candidate)
    model = await store.get(tx, ModelId(model_id))
    if model is None:
        msg = "a row inserted in this transaction is missing"
        raise LookupError(msg)
    return model
