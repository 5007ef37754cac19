"""All SQL of insights that writes; what lists and reads them is in `reading`, what erases them in `erasing`.

Every statement takes any number of rows. Whoever records or withdraws holds the organization's lock, so two runs of one
organization come one after the other, and no insight is made twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, Interval, bindparam, text

from server.audit import store as audit
from server.facts.load import DELETED
from server.identity import InsightId
from server.insights.model import KEPT, Turn
from server.insights.outcome import Outcome, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from server.db import ReadTx, Tx
    from server.db.transaction import Record
    from server.identity import OrgId, UserId
    from server.insights.model import Encode, InsightType
    from server.insights.outcome import Change

_LOCK = 4
"""First number of the advisory lock of one organization's runs; the second is a hash of its name."""

_MOMENT = DateTime(timezone=True)
_LOCK_RUNS = text("SELECT pg_advisory_xact_lock(:lock, hashtext(:org))")
# A statement of its own: one that locked too would see what was there before it waited.
_IN_TURN = text(
    f"""
    SELECT analytics_now() AS now, EXISTS (SELECT FROM insights WHERE org_id = :org AND listed) AS listed,
        EXISTS (SELECT FROM insights WHERE org_id = :org AND listed AND expires_at <= (SELECT analytics_now()))
        OR EXISTS (SELECT FROM insights WHERE org_id = :org AND NOT listed AND expires_at <= (SELECT analytics_now()) - :kept) AS ripe,
        ({audit.COUNT}) AS erasures
    """  # noqa: S608 - a constant
).bindparams(bindparam("kept", type_=Interval))

# Locked in one order, whatever order the findings came in; and no stronger than needed, so that views may be noted meanwhile.
_STANDING = text(
    """
    SELECT fingerprint, insight_id, digest, severity_dismissed, dismissed_at, created_at, updated_at, reopened_at, expires_at, revision
    FROM insights WHERE org_id = :org AND fingerprint = ANY (CAST(:fingerprints AS bytea[]))
    ORDER BY fingerprint FOR NO KEY UPDATE
    """
)

# What a run knows of an insight, and the types of the arrays in which many come.
_GIVEN = {
    "insight_id": "uuid",
    "title": "text",
    "description": "text",
    "confidence": "numeric",
    "data_points": "jsonb",
    "actions": "jsonb",
    "provenance": "jsonb",
    "severity": "float8",
    "digest": "bytea",
    "message": "bytea",
    "updated_at": "timestamptz",
    "expires_at": "timestamptz",
    "revision": "bigint",
}
_OF_NEW = {"fingerprint": "bytea", "category": "text", "insight_type": "text"}


def _rows(columns: Mapping[str, str]) -> str:
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    return f"unnest({arrays}) AS n ({', '.join(columns)})"


_NEW = {**_GIVEN, **_OF_NEW}
_INSERT = text(
    f"""
    INSERT INTO insights (org_id, {", ".join(_NEW)}, created_at, shown_at, listed)
    SELECT :org, {", ".join(f"n.{name}" for name in _NEW)}, n.updated_at, n.updated_at, true FROM {_rows(_NEW)}
    """  # noqa: S608 - names of our own columns
)
_CHANGED = {**_GIVEN, "reopened": "bool"}
_UPDATE = text(
    f"""
    WITH changed AS (
        UPDATE insights i
        SET {", ".join(f"{name} = n.{name}" for name in _GIVEN if name != "insight_id")},
            shown_at = CASE WHEN n.reopened THEN n.updated_at ELSE i.shown_at END,
            reopened_at = CASE WHEN n.reopened THEN n.updated_at ELSE i.reopened_at END,
            dismissed_at = CASE WHEN n.reopened THEN NULL ELSE i.dismissed_at END,
            dismissed_by = CASE WHEN n.reopened THEN NULL ELSE i.dismissed_by END,
            severity_dismissed = CASE WHEN n.reopened THEN NULL ELSE i.severity_dismissed END,
            listed = n.reopened OR i.dismissed_at IS NULL
        FROM {_rows(_CHANGED)} WHERE i.org_id = :org AND i.insight_id = n.insight_id
    )
    DELETE FROM insight_views WHERE org_id = :org AND insight_id = ANY (CAST(:unseen AS uuid[]))
    """  # noqa: S608 - names of our own columns
)
_WITHDRAW = text(
    """
    UPDATE insights SET expires_at = :now, updated_at = :now, listed = false, revision = revision + 1
    WHERE org_id = :org AND listed AND insight_type = ANY (CAST(:types AS text[])) AND expires_at > :now
          AND fingerprint <> ALL (CAST(:kept AS bytea[]))
    RETURNING insight_id, category, insight_type, revision
    """
).bindparams(bindparam("now", type_=_MOMENT))
_DISMISS = text(
    """
    UPDATE insights SET dismissed_at = analytics_now(), dismissed_by = :actor, severity_dismissed = severity, listed = false,
        revision = revision + 1
    WHERE org_id = :org AND insight_id = :insight AND dismissed_at IS NULL AND expires_at > (SELECT analytics_now())
    RETURNING insight_id, category, insight_type, revision
    """
)
_AS_IT_IS = text(
    """
    SELECT i.message, i.revision, i.dismissed_at, i.dismissed_by,
        EXISTS (SELECT FROM insight_views v WHERE v.org_id = :org AND v.user_id = :viewer AND v.insight_id = i.insight_id) AS viewed
    FROM insights i WHERE i.org_id = :org AND i.insight_id = :insight AND i.expires_at > (SELECT analytics_now())
    """
)
_KNOWN = text(
    "SELECT insight_id FROM insights WHERE org_id = :org AND insight_id = ANY (CAST(:insights AS uuid[])) ORDER BY insight_id FOR KEY SHARE"
)
_VIEW = text(
    """
    INSERT INTO insight_views (org_id, user_id, insight_id, viewed_at)
    SELECT :org, :viewer, n.insight_id, analytics_now() FROM unnest(CAST(:insights AS uuid[])) AS n (insight_id)
    ON CONFLICT DO NOTHING
    RETURNING insight_id
    """
)
# What others have locked is left to the next time: neither statement waits for anybody, in whatever order it finds its rows.
# Chosen in a WITH and never in an IN: a planner may read that once per row, and each reading locks, and takes, others.
_RETIRE = text(
    """
    WITH over AS MATERIALIZED (
        SELECT insight_id FROM insights WHERE org_id = :org AND listed AND expires_at <= (SELECT analytics_now())
        ORDER BY expires_at LIMIT :most FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE insights i SET listed = false FROM over WHERE i.org_id = :org AND i.insight_id = over.insight_id
    """
)
_PURGE = text(
    """
    WITH over AS MATERIALIZED (
        SELECT insight_id FROM insights WHERE org_id = :org AND NOT listed AND expires_at <= (SELECT analytics_now()) - :kept
        ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED)
    DELETE FROM insights i USING over WHERE i.org_id = :org AND i.insight_id = over.insight_id
    """
).bindparams(bindparam("kept", type_=Interval))


@dataclass(frozen=True, slots=True)
class Named:
    """An insight as its events name it."""

    insight_id: InsightId
    category: str
    insight_type: str
    revision: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class AsItIs:
    """An insight as its caller sees it; None says that it is not dismissed.

    `message` is what the latest run that found it says, also of one that is dismissed; `revision` is newer where somebody
    dismissed it since.
    """

    message: bytes
    revision: int
    dismissed_at: datetime | None
    dismissed_by: UserId | None
    viewed: bool


async def take_turn(tx: Tx, org: OrgId) -> Turn:
    """Wait until no other run of the organization writes insights, and nobody erases its facts."""
    await tx.run(_LOCK_RUNS, {"lock": _LOCK, "org": org})
    row = await tx.one(_IN_TURN, {"org": org, "kept": KEPT, "action": DELETED})
    return Turn(row.now, row.ripe, row.listed, row.erasures)


async def standing(tx: Tx, org: OrgId, fingerprints: Sequence[bytes]) -> Mapping[bytes, Standing]:
    """Return what is stored under these fingerprints, and keep it as it is until the transaction ends."""
    rows = await tx.all(_STANDING, {"org": org, "fingerprints": list(fingerprints)})
    return {bytes(row.fingerprint): _standing(row) for row in rows}


async def add(tx: Tx, org: OrgId, changes: Sequence[Change], encode: Encode) -> None:
    """Write insights that are new."""
    if not changes:
        return
    findings = [change.insight.finding for change in changes]
    parameters = {
        **_given(org, changes, encode),
        "fingerprint": [finding.fingerprint for finding in findings],
        "category": [finding.category for finding in findings],
        "insight_type": [finding.insight_type for finding in findings],
    }
    await tx.run(_INSERT, parameters)


async def change(tx: Tx, org: OrgId, changes: Sequence[Change], encode: Encode) -> None:
    """Write what became of stored insights; those that come back are unviewed by everybody."""
    if not changes:
        return
    reopened = [each.outcome is Outcome.REOPENED for each in changes]
    unseen = [each.insight.insight_id for each in changes if each.outcome is Outcome.REOPENED]
    await tx.run(_UPDATE, {**_given(org, changes, encode), "reopened": reopened, "unseen": unseen})


async def withdraw(tx: Tx, org: OrgId, types: Sequence[InsightType], kept: Sequence[bytes], now: datetime) -> Sequence[Named]:
    """Let every active insight of these types expire but for those with the fingerprints `kept`; returns them."""
    return [_named(row) for row in await tx.all(_WITHDRAW, {"org": org, "types": list(types), "kept": list(kept), "now": now})]


async def dismiss(tx: Tx, org: OrgId, insight_id: InsightId, actor: UserId) -> Named | None:
    """Dismiss an active insight; None when it is not active."""
    row = await tx.first(_DISMISS, {"org": org, "insight": insight_id, "actor": actor})
    return None if row is None else _named(row)


async def as_it_is(tx: ReadTx, org: OrgId, insight_id: InsightId, viewer: UserId) -> AsItIs | None:
    """Return an insight that has not expired, dismissed or not."""
    row = await tx.first(_AS_IT_IS, {"org": org, "insight": insight_id, "viewer": viewer})
    return None if row is None else AsItIs(bytes(row.message), row.revision, row.dismissed_at, row.dismissed_by, row.viewed)


async def known(tx: Tx, org: OrgId, insight_ids: Sequence[InsightId]) -> frozenset[InsightId]:
    """Return which of these ids the organization has, whatever became of them, and keep them until the transaction ends."""
    rows = await tx.all(_KNOWN, {"org": org, "insights": list(insight_ids)})
    return frozenset(InsightId(row.insight_id) for row in rows)


async def view(tx: Tx, org: OrgId, viewer: UserId, insight_ids: Sequence[InsightId]) -> Sequence[InsightId]:
    """Note that somebody has seen insights; returns those that he had not seen."""
    rows = await tx.all(_VIEW, {"org": org, "viewer": viewer, "insights": sorted(insight_ids)})
    return [InsightId(row.insight_id) for row in rows]


async def retire(tx: Tx, org: OrgId, most: int) -> int:
    """Take at most so many expired insights off the lists; returns how many."""
    return await tx.run(_RETIRE, {"org": org, "most": most})


async def purge(tx: Tx, org: OrgId, kept: timedelta, most: int) -> int:
    """Delete at most so many insights that expired longer than `kept` ago; returns how many."""
    return await tx.run(_PURGE, {"org": org, "kept": kept, "most": most})


def _given(org: OrgId, changes: Sequence[Change], encode: Encode) -> dict[str, object]:
    insights = [change.insight for change in changes]
    findings = [insight.finding for insight in insights]
    return {
        "org": org,
        "insight_id": [insight.insight_id for insight in insights],
        "title": [finding.title for finding in findings],
        "description": [finding.description for finding in findings],
        "confidence": [Decimal(str(finding.shown_confidence)) for finding in findings],
        "data_points": [_json(finding.data_points) for finding in findings],
        "actions": [_json([action.to_json() for action in finding.actions]) for finding in findings],
        "provenance": [_json(finding.provenance.to_json()) for finding in findings],
        "severity": [finding.severity for finding in findings],
        "digest": [finding.digest for finding in findings],
        "message": [encode(insight) for insight in insights],
        "updated_at": [insight.updated_at for insight in insights],
        "expires_at": [finding.expires_at for finding in findings],
        "revision": [insight.revision for insight in insights],
    }


def _json(content: object) -> str:
    return json.dumps(content, allow_nan=False)


def _standing(row: Record) -> Standing:
    return Standing(
        InsightId(row.insight_id),
        bytes(row.digest),
        row.severity_dismissed,
        row.dismissed_at is not None,
        row.created_at,
        row.updated_at,
        row.reopened_at,
        row.expires_at,
        row.revision,
    )


def _named(row: Record) -> Named:
    return Named(InsightId(row.insight_id), row.category, row.insight_type, row.revision)
