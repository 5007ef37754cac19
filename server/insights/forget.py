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
    from server.insights.store import Named


@dataclass(frozen=True, slots=True)
class About:
    """What insights are about: their types, and the data point that holds the key of the subject."""

    types: Collection[InsightType]
    field: str


CONTRACTS = About((InsightType.CONTRACT_EXPIRING, InsightType.CONTRACT_AT_RISK), "contractKey")
SPIKES = About((InsightType.PAYROLL_COST_SPIKE,), "costCentre")
DECLINES = About((InsightType.PERFORMANCE_DECLINE,), "team")
BUDGETS = About((InsightType.BUDGET_OVERRUN,), "budgetName")


async def forget_employee(tx: Tx, org: OrgId, key: str, cause: Cause) -> None:
    """Delete insights that name an employee anywhere in their data points, also among others: their figures are of him too.

    The next run finds again what still is so without him. Keys of people stand in data points only, never in a title or a
    description, where no search would find a short one.
    """
    await _tell(tx, org, await store.forget(tx, org, key), cause)


async def forget_about(tx: Tx, org: OrgId, about: About, keys: Sequence[str], cause: Cause) -> None:
    """Delete insights about subjects of these keys."""
    await _tell(tx, org, await store.forget_about(tx, org, about.types, about.field, keys), cause)


async def forget_types(tx: Tx, org: OrgId, types: Collection[InsightType], cause: Cause) -> None:
    """Delete every insight of `types`."""
    await _tell(tx, org, await store.forget_types(tx, org, types), cause)


async def _tell(tx: Tx, org: OrgId, changed: Sequence[Named], cause: Cause) -> None:
    told = [InsightUpdated(one.insight_id, one.category, one.insight_type, one.revision) for one in changed if one.active]
    await events.append_all(tx, [Told(org, event, cause) for event in told])
