"""All SQL that erases insights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Text, bindparam, text

from server.identity import InsightId
from server.insights.store import Named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from server.db import Tx
    from server.db.transaction import Record
    from server.identity import OrgId
    from server.insights.model import InsightType

# What events tell of a change; only of what a list showed.
_GONE = """
    RETURNING insight_id, category, insight_type, revision + 1 AS revision,
        listed AND expires_at > (SELECT analytics_now()) AS active
"""
_FORGET = text(
    f"""
    DELETE FROM insights
    WHERE org_id = :org AND jsonb_path_exists(data_points, '$.** ? (@ == $key)', jsonb_build_object('key', CAST(:key AS text)))
    {_GONE}
    """  # noqa: S608 - names of our own columns
)
_FORGET_ABOUT = text(
    f"""
    DELETE FROM insights
    WHERE org_id = :org AND insight_type = ANY (CAST(:types AS text[])) AND data_points ->> :field = ANY (CAST(:keys AS text[]))
    {_GONE}
    """  # noqa: S608 - names of our own columns
).bindparams(bindparam("field", type_=Text))
_FORGET_TYPES = text(
    f"DELETE FROM insights WHERE org_id = :org AND insight_type = ANY (CAST(:types AS text[])) {_GONE}"  # noqa: S608 - names of our own columns
)


async def forget(tx: Tx, org: OrgId, key: str) -> Sequence[Named]:
    """Delete insights that name `key` in their data points; returns them with the revision they would have now."""
    return [_named(row) for row in await tx.all(_FORGET, {"org": org, "key": key})]


async def forget_about(tx: Tx, org: OrgId, types: Collection[InsightType], field: str, keys: Sequence[str]) -> Sequence[Named]:
    """Delete insights of `types` with one of `keys` in a data point; returns them as `forget` does."""
    rows = await tx.all(_FORGET_ABOUT, {"org": org, "types": list(types), "field": field, "keys": list(keys)})
    return [_named(row) for row in rows]


async def forget_types(tx: Tx, org: OrgId, types: Collection[InsightType]) -> Sequence[Named]:
    """Delete every insight of `types`; returns them as `forget` does."""
    return [_named(row) for row in await tx.all(_FORGET_TYPES, {"org": org, "types": list(types)})]


def _named(row: Record) -> Named:
    return Named(InsightId(row.insight_id), row.category, row.insight_type, row.revision, row.active)
