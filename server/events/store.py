"""All SQL of writing events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.db import now
from server.db.statements import given, insert_from
from server.events.model import OUTBOX_TOPIC, Told, event_id, shared_event_id
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
        causation_id="event_causation",
        residency="event_residency",
        provenance="event_provenance",
    ),
    "occurred_at": now(),
}
# An event that was written before is the same event: whether the relay has taken it meanwhile must make no difference.
_APPEND_ALL = text(
    """
    INSERT INTO outbox (org_id, event_id, type, subject, occurred_at, correlation_id, traceparent, payload, causation_id, residency,
        provenance)
    SELECT e.org_id, e.event_id, e.type, e.subject, analytics_now(), e.correlation_id, e.traceparent, e.payload, e.causation_id,
        e.residency, e.provenance
    FROM unnest(CAST(:orgs AS text[]), CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:subjects AS text[]),
            CAST(:correlations AS text[]), CAST(:traces AS text[]), CAST(:contents AS jsonb[]), CAST(:causations AS text[]),
            CAST(:residencies AS text[]), CAST(:provenances AS jsonb[]))
        AS e (org_id, event_id, type, subject, correlation_id, traceparent, payload, causation_id, residency, provenance)
    ON CONFLICT DO NOTHING
    """
)
_APPEND_SHARED = text(
    """
    INSERT INTO shared_outbox (event_id, type, subject, occurred_at, correlation_id, traceparent, payload, causation_id, residency,
        provenance)
    VALUES (:id, :kind, :subject, analytics_now(), :correlation, :trace, CAST(:content AS jsonb), :causation, :residency,
        CAST(:provenance AS jsonb))
    ON CONFLICT DO NOTHING
    """
)


async def append(tx: Tx, org: OrgId, event: Event, cause: Cause) -> None:
    """Write an event in the transaction of its change."""
    await append_all(tx, [Told(org, event, cause)])


def append_from(rows: FromClause) -> Insert:
    """Return the part of a statement that writes an event for each of `rows`; `parameters` says which event.

    Whoever runs the statement rings `OUTBOX_TOPIC` afterwards.
    """
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
        "event_causation": cause.causation_id,
        "event_residency": cause.residency,
        "event_provenance": cause.provenance.to_json() if cause.provenance is not None else None,
    }


async def append_all(tx: Tx, told: Sequence[Told]) -> None:
    """Write events, of one organization or of many, in the transaction of their changes; readers get them in this order."""
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
            "causations": [each.cause.causation_id for each in told],
            "residencies": [each.cause.residency for each in told],
            "provenances": [_provenance(each.cause) for each in told],
        },
    )
    tx.wake(OUTBOX_TOPIC)


async def append_shared(tx: Tx, event: Event, cause: Cause) -> None:
    """Write an event that concerns every organization, in the transaction of its change; the relay copies it to each."""
    await tx.run(
        _APPEND_SHARED,
        {
            "id": shared_event_id(event),
            "kind": event.type,
            "subject": event.subject,
            "correlation": cause.correlation_id,
            "trace": cause.traceparent,
            "content": json.dumps(event.payload()),
            "causation": cause.causation_id,
            "residency": cause.residency,
            "provenance": _provenance(cause),
        },
    )
    tx.wake(OUTBOX_TOPIC)


def _provenance(cause: Cause) -> str | None:
    return None if cause.provenance is None else json.dumps(cause.provenance.to_json())
