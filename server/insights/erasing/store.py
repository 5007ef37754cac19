"""All SQL that erases insights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Text, bindparam, text

from server.identity import InsightId
from server.insights.store import Named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from server.db import Tx
    from server.db.transaction import Record
    from server.identity import OrgId
    from server.insights.model import InsightType

# What events tell of a change; only of what a list showed.
_NAMED = """
    RETURNING insight_id, category, insight_type, revision, listed AND expires_at > (SELECT analytics_now()) AS active
"""
_GONE = _NAMED.replace("revision,", "revision + 1 AS revision,")
_LISTING = text(
    """
    SELECT insight_id, message, revision, (SELECT analytics_now()) AS now FROM insights
    WHERE org_id = :org AND data_points -> 'employees' @> jsonb_build_array(CAST(:key AS text))
        AND jsonb_array_length(data_points -> 'employees') > 1
    ORDER BY insight_id FOR NO KEY UPDATE
    """
)
# Without a digest the next run sees that what it finds is not what is stored.
_TAKE_OUT = text(
    f"""
    UPDATE insights i SET data_points = jsonb_set(i.data_points, '{{employees}}', (i.data_points -> 'employees') - CAST(:key AS text)),
        message = n.message, digest = '', revision = i.revision + 1, updated_at = analytics_now()
    FROM unnest(CAST(:insights AS uuid[]), CAST(:messages AS bytea[])) AS n (id, message)
    WHERE i.org_id = :org AND i.insight_id = n.id
    {_NAMED}
    """  # noqa: S608 - names of our own columns
)
_FORGET = text(
    f"""
    DELETE FROM insights
    WHERE org_id = :org AND (CAST(:key AS text) IS NULL
        OR jsonb_path_exists(data_points, '$.** ? (@ == $key)', jsonb_build_object('key', CAST(:key AS text))))
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


@dataclass(frozen=True, slots=True)
class Listing:
    """An insight that lists an employee among others, at the instant `now`."""

    insight_id: InsightId
    message: bytes
    revision: int
    now: datetime


async def listing(tx: Tx, org: OrgId, key: str) -> Sequence[Listing]:
    """Return the insights that list an employee among others, whatever became of them, and keep them until the transaction ends."""
    rows = await tx.all(_LISTING, {"org": org, "key": key})
    return [Listing(InsightId(row.insight_id), bytes(row.message), row.revision, row.now) for row in rows]


async def take_out(tx: Tx, org: OrgId, key: str, messages: Mapping[InsightId, bytes]) -> Sequence[Named]:
    """Take an employee out of the data points of insights, with their new messages; returns them as they are then."""
    parameters = {"org": org, "key": key, "insights": list(messages), "messages": list(messages.values())}
    return [_named(row) for row in await tx.all(_TAKE_OUT, parameters)]


async def forget(tx: Tx, org: OrgId, key: str | None) -> Sequence[Named]:
    """Delete insights that name `key` in their data points, or all of them; returns them with the revision they would have now."""
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
