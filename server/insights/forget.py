"""Take what is erased out of the insights that were made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.events import store as events
from server.events.insights import InsightUpdated
from server.events.model import Told
from server.insights.erasing import store
from server.insights.model import InsightType

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from server.db import Tx
    from server.events.model import Cause
    from server.identity import OrgId
    from server.insights.model import Redact
    from server.insights.store import Named


@dataclass(frozen=True, slots=True)
class About:
    """What insights are about: their types, and the data point that holds the key of the subject."""

    types: Collection[InsightType]
    field: str


CONTRACTS = About((InsightType.CONTRACT_EXPIRING, InsightType.CONTRACT_AT_RISK), "contractKey")
BUDGETS = About((InsightType.BUDGET_OVERRUN,), "budgetName")


async def forget(tx: Tx, org: OrgId, key: str | None) -> int:
    """Delete insights that name a key of a fact anywhere in their data points, or with None all; returns how many.

    Whoever erases facts calls it in the same transaction. The next run finds again what still is so without that fact. Keys of
    people stand in data points only, never in a title or a description, where no search would find a short one.
    """
    return len(await store.forget(tx, org, key))


async def forget_employee(tx: Tx, org: OrgId, key: str, redact: Redact, cause: Cause) -> None:
    """Take the key of an employee out of every insight that lists it among others, and delete those that speak of nobody else.

    An insight that stays keeps its id, who has viewed it and that it was dismissed. Whoever follows the events of active
    insights is told, so that no copy is kept.
    """
    before = await store.listing(tx, org, key)
    after = {each.insight_id: redact(each.message, key, each.revision + 1, each.now) for each in before}
    taken_out = await store.take_out(tx, org, key, after) if after else []
    await _tell(tx, org, [*taken_out, *await store.forget(tx, org, key)], cause)


async def forget_about(tx: Tx, org: OrgId, about: About, keys: Sequence[str], cause: Cause) -> None:
    """Delete insights about subjects of these keys."""
    await _tell(tx, org, await store.forget_about(tx, org, about.types, about.field, keys), cause)


async def forget_types(tx: Tx, org: OrgId, types: Collection[InsightType], cause: Cause) -> None:
    """Delete every insight of `types`."""
    await _tell(tx, org, await store.forget_types(tx, org, types), cause)


async def _tell(tx: Tx, org: OrgId, changed: Sequence[Named], cause: Cause) -> None:
    told = [InsightUpdated(one.insight_id, one.category, one.insight_type, one.revision) for one in changed if one.active]
    await events.append_all(tx, [Told(org, event, cause) for event in told])
