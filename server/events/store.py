"""All SQL of the outbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.db import now
from server.db.statements import given, insert_from
from server.events.model import Told, event_id
from server.events.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import FromClause
    from sqlalchemy.dialects.postgresql import Insert

    from server.db import Tx
    from server.events.model import Cause, Event
    from server.identity import OrgId


_EVENT = {
    **given(
        outbox,
        org_id="event_org",
        event_id="event_id",
        type="event_type",
        subject="event_subject",
        correlation_id="event_correlation",
        traceparent="event_trace",
        payload="event_payload",
    ),
    "occurred_at": now(),
}
_APPEND_ALL = text(
    """
    INSERT INTO outbox (org_id, event_id, type, subject, occurred_at, correlation_id, traceparent, payload)
    SELECT e.org_id, e.event_id, e.type, e.subject, analytics_now(), e.correlation_id, e.traceparent, e.payload
    FROM unnest(CAST(:orgs AS text[]), CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:subjects AS text[]),
            CAST(:correlations AS text[]), CAST(:traces AS text[]), CAST(:contents AS jsonb[]))
        AS e (org_id, event_id, type, subject, correlation_id, traceparent, payload)
    """
)


async def append(tx: Tx, org: OrgId, event: Event, cause: Cause) -> None:
    """Write an event in the transaction of its change."""
    await append_all(tx, [Told(org, event, cause)])


def append_from(rows: FromClause) -> Insert:
    """Return the part of a statement that writes an event for each of `rows`; `parameters` says which event."""
    return insert_from(outbox, _EVENT, rows)


def parameters(org: OrgId, event: Event, cause: Cause) -> Mapping[str, object]:
    """Return the parameters of an event."""
    return {
        "event_org": org,
        "event_id": event_id(org, event),
        "event_type": event.type,
        "event_subject": event.subject,
        "event_correlation": cause.correlation_id,
        "event_trace": cause.traceparent,
        "event_payload": event.payload(),
    }


async def append_all(tx: Tx, told: Sequence[Told]) -> None:
    """Write events, of one organization or of many, in the transaction of their changes."""
    if not told:
        return
    await tx.run(
        _APPEND_ALL,
        {
            "orgs": [each.org for each in told],
            "ids": [event_id(each.org, each.event) for each in told],
            "kinds": [each.event.type for each in told],
            "subjects": [each.event.subject for each in told],
            "correlations": [each.cause.correlation_id for each in told],
            "traces": [each.cause.traceparent for each in told],
            "contents": [json.dumps(each.event.payload()) for each in told],
        },
    )
