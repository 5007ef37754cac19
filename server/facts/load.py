"""Load a batch of facts, all of it or nothing; erase facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audit import store as audit
from server.audit.model import Act, Origin
from server.errors import invalid_argument
from server.facts import store
from server.facts.tables import STORAGES
from server.tenants import store as tenants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Tx
    from server.facts.model import Erasure, Fact, FactSet, Written

DELETED = "facts.deleted"
"""Name of an erasure in the audit log, also where there was nothing to erase."""


async def load_facts(tx: Tx, origin: Origin, fact_set: FactSet, rows: Sequence[Fact]) -> Written:
    """Write checked rows of different natural keys; audited as one act."""
    await tenants.remember(tx, origin.org)
    written = await store.upsert(tx, origin.org, fact_set, rows)
    details = {"inserted": str(written.inserted), "updated": str(written.updated), "unchanged": str(written.unchanged)}
    await audit.record(tx, origin, Act("facts.ingested", "fact_set", fact_set, details))
    return written


async def erase_facts(tx: Tx, origin: Origin, fact_set: FactSet | None, erasure: Erasure) -> int:
    """Erase a subject (or everything) of a fact set, or with None a subject of every one that knows its kind.

    Audited without the key, which the erasure would otherwise outlive.

    Raises:
        AnalyticsError: VALIDATION_FAILED, the fact set has no such subjects, or everything of every fact set is meant.

    """
    deleted = 0
    scope = f"one {erasure.subject.name.lower()}" if erasure.subject else "everything"
    # Also where there was nothing: an erasure that was asked for has to be provable.
    for each in _reached(fact_set, erasure):
        rows = await store.erase(tx, origin.org, each, erasure)
        deleted += rows
        await audit.record(tx, origin, Act(DELETED, "fact_set", each, {"scope": scope, "rows": str(rows)}))
    return deleted


def _reached(fact_set: FactSet | None, erasure: Erasure) -> Sequence[FactSet]:
    subject = erasure.subject
    if fact_set is None:
        if subject is None:
            raise invalid_argument(field="fact_set", description="has to be named to erase everything; without it name a subject")
        return [each for each, storage in STORAGES.items() if subject in storage.subjects]
    if subject is not None and subject not in STORAGES[fact_set].subjects:
        known = " or ".join(sorted(STORAGES[fact_set].subjects))
        raise invalid_argument(subject, f"means nothing in fact set {fact_set}, which is erased by {known}")
    return [fact_set]
