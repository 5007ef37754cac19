"""What happens to shared models is told to every organization."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from server.db.engines import DbRole
from server.identity import ModelId
from server.registry import store
from server.registry.model import Failure, ModelType

if TYPE_CHECKING:
    from tests.support.telling import Bed

TURNOVER = ModelType.TURNOVER_PREDICTION
TRAINED = (
    "INSERT INTO shared_models (model_id, name, type, version, state, training_cutoff, metrics, schema, training_rows, artifact_sha256,"
    " created_at) VALUES ($1, 'm', 'turnover_prediction', $2, 'TRAINING', now(), '{}', '{}', 1, '', now())"
)


async def trained(bed: Bed, version: str) -> ModelId:
    """Register a version that waits to be judged."""
    made = ModelId(uuid4())
    await bed.admin.execute(TRAINED, made, version)
    return made


async def told(bed: Bed, org: str) -> list[tuple[str, str, object, object]]:
    return [(each.type, each.subject, each.payload["version"], each.payload["reason"]) for each in await bed.read(org)]


async def test_activation_replacement_and_failure_are_told_to_all_in_their_order_without_figures_for_admins(
    bed: Bed,
) -> None:
    await bed.appear("a", "b")
    first, second, third = [await trained(bed, version) for version in ("1.0.0", "1.1.0", "1.2.0")]
    async with bed.db.platform(DbRole.TRAINER) as tx:
        await store.swap_active(tx, TURNOVER, first, None)
    async with bed.db.platform(DbRole.TRAINER) as tx:
        await store.swap_active(tx, TURNOVER, second, first)
        await store.fail(tx, third, Failure.WORSE, "worse than the active version 1.1.0 on the same 812 rows")
        failed = await store.get(tx, third)
    assert failed is not None
    assert failed.failure_reason.endswith("812 rows")
    await bed.relay.drain()
    for org in ("a", "b"):
        assert await told(bed, org) == [
            ("model.activated", f"model/{first}", "1.0.0", "there was no active version"),
            ("model.deprecated", f"model/{first}", "1.0.0", "version 1.1.0 took its place"),
            ("model.activated", f"model/{second}", "1.1.0", "it took the place of version 1.0.0"),
            ("model.failed", f"model/{third}", "1.2.0", "worse than the active version"),
        ]


async def test_what_did_not_happen_is_not_told(bed: Bed) -> None:
    await bed.appear("a")
    active, other = await trained(bed, "1.0.0"), await trained(bed, "1.1.0")
    async with bed.db.platform(DbRole.TRAINER) as tx:
        await store.swap_active(tx, TURNOVER, active, None)
        # Only what is TRAINING can fail.
        await store.fail(tx, active, Failure.WORSE, "late")
    with pytest.raises(ZeroDivisionError):
        async with bed.db.platform(DbRole.TRAINER) as tx:
            await store.fail(tx, other, Failure.WORSE, f"rolled back {1 / 0}")
    await bed.relay.drain()
    assert [each[0] for each in await told(bed, "a")] == ["model.activated"]
