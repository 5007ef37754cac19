"""All SQL of reading."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Double, bindparam, func, literal, literal_column, not_, select, true, tuple_

from server.db import now
from server.db.clock import type_ as clock_type
from server.db.tenant import of_tenant, tenant
from server.insights.model import CATEGORY_OF, InsightType
from server.insights.tables import insight_views, insights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import CTE, ColumnElement, Executable, FromClause, Select

    from server.db import Database
    from server.identity import InsightId, OrgId, UserId
    from server.insights.model import Category

    Cursor = tuple[datetime, UUID]

_rows = insights.c
_views = insight_views.c

# A statement per size of page, or the planner would not know how few rows are wanted; and few sizes, or there would be
# hundreds of statements for every connection to keep.
_LIMITS = (2, 21, 51, 101, 251, 1_001)


class Shown(NamedTuple):
    """An insight in a list. A tuple, because a page has many and nothing is done with them."""

    message: bytes
    viewed: bool
    shown_at: datetime
    insight_id: InsightId


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who asks for which insights; what is None, empty or 0 does not matter."""

    viewer: UserId
    category: Category | None = None
    insight_type: str = ""
    min_confidence: float = 0.0
    unviewed_only: bool = False


async def page(db: Database, org: OrgId, wanted: Wanted, before: Cursor | None, most: int) -> Sequence[Shown]:
    """Return at least `most` active insights if there are as many, at most 1,001, newest first, older than the cursor `before`."""
    # A type has one category: to ask for both would only make the planner expect less than there is.
    own = next((CATEGORY_OF[known] for known in InsightType if known == wanted.insight_type), None)
    if own is not None and wanted.category not in (None, own):
        return []
    statement = _page(
        next(limit for limit in _LIMITS if limit >= most),
        category=wanted.category is not None and own is None,
        insight_type=bool(wanted.insight_type),
        min_confidence=wanted.min_confidence > 0,
        unviewed_only=wanted.unviewed_only,
        before=before is not None,
    )
    parameters = {
        "viewer": wanted.viewer,
        "category": wanted.category,
        "insight_type": wanted.insight_type,
        "min_confidence": wanted.min_confidence,
        "before_at": before and before[0],
        "before_id": before and before[1],
    }
    return [Shown(*row) for row in await db.at_once(org, statement, parameters)]


async def get(db: Database, org: OrgId, viewer: UserId, insight_id: InsightId) -> Shown | None:
    """Return an active insight."""
    rows = await db.at_once(org, _ONE, {"viewer": viewer, "insight": insight_id})
    return Shown(*rows[0]) if rows else None


@lru_cache(maxsize=len(_LIMITS) * 2**5)
def _page(  # noqa: PLR0913 - one argument per way in which pages differ
    limit: int, *, category: bool, insight_type: bool, min_confidence: bool, unviewed_only: bool, before: bool
) -> Executable:
    """Return the statement of one kind of page: a filter that is not asked for is not in it, so each kind has its own plan."""
    who = tenant()
    rows = _active(who).order_by(_rows.shown_at.desc(), _rows.insight_id.desc()).limit(literal_column(str(limit)))
    if category:
        rows = rows.where(_rows.category == bindparam("category"))
    if insight_type:
        rows = rows.where(_rows.insight_type == bindparam("insight_type"))
    if min_confidence:
        rows = rows.where(_rows.confidence >= bindparam("min_confidence", type_=Double))
    if unviewed_only:
        rows = rows.where(not_(_viewed(insights, who)))
    if before:
        cursor = tuple_(bindparam("before_at", type_=clock_type), bindparam("before_id", type_=_rows.insight_id.type))
        rows = rows.where(tuple_(_rows.shown_at, _rows.insight_id) < cursor)
    return _shown(who, rows)


def _one() -> Executable:
    who = tenant()
    return _shown(who, _active(who).where(_rows.insight_id == bindparam("insight"), _rows.dismissed_at.is_(None)))


def _active(who: CTE) -> Select[tuple[object, ...]]:
    # The clock is asked once, and not for every row.
    instant = select(now()).scalar_subquery()
    return select(_rows.message, _rows.shown_at, _rows.insight_id).where(
        _rows.org_id == who.c.org_id, _rows.listed, _rows.expires_at > instant
    )


def _shown(who: CTE, rows: Select[tuple[object, ...]]) -> Executable:
    found = of_tenant(rows, "found")
    return (
        select(found.c.message, _viewed(found, who).label("viewed"), found.c.shown_at, found.c.insight_id)
        .select_from(who.join(found, true()))
        .order_by(found.c.shown_at.desc(), found.c.insight_id.desc())
    )


def _viewed(rows: FromClause, who: CTE) -> ColumnElement[bool]:
    """Return whether the viewer has seen a row: looked up row by row, never all that somebody has ever seen.

    OFFSET holds the planner to that. Where it is a condition, the planner expects it of half of the rows, which it would
    not of an EXISTS or IS NULL.
    """
    seen = select(true()).where(
        _views.org_id == who.c.org_id, _views.user_id == bindparam("viewer"), _views.insight_id == rows.c.insight_id
    )
    return func.coalesce(seen.offset(literal_column("0")).correlate(who, rows).scalar_subquery(), literal(False))  # noqa: FBT003 - a value


_ONE = _one()
