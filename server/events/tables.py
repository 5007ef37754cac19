"""Tables of events: what was written and waits for the relay, and what the relay has published."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import shared_table, tenant_table


def _content() -> list[Column[object]]:
    """Return the columns that an event has before and after it is published."""
    return [
        Column("event_id", Uuid, nullable=False),
        Column("type", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        Column("correlation_id", Text, nullable=False),
        Column("traceparent", Text, nullable=False),
        Column("payload", JSONB, nullable=False),
    ]


def _origin() -> list[Column[object]]:
    """Return the columns of where an event comes from beyond its request and its trace."""
    return [
        Column("causation_id", Text, nullable=False, server_default=""),
        Column("residency", Text, nullable=False, server_default=""),
        Column("provenance", JSONB(none_as_null=True)),
    ]


# `place` is the order of writing: what follows from a committed change has a larger one. It is no cursor, for a smaller one may
# be committed later.
outbox = tenant_table(
    "outbox",
    *_content(),
    *_origin(),
    Column("place", BigInteger, Identity(), nullable=False),
    Index("ix_outbox_place", "place"),
    key=["event_id"],
)

shared_outbox = shared_table(
    "shared_outbox",
    *_content(),
    *_origin(),
    Column("place", BigInteger, Identity(), nullable=False),
    # The last organization that has it already.
    Column("copied_to", Text, nullable=False, server_default=""),
    UniqueConstraint("event_id"),
    Index("ix_shared_outbox_place", "place"),
)

events: Table = tenant_table(
    "events",
    Column("sequence", BigInteger, nullable=False),
    *_content(),
    *_origin(),
    Column("published_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("org_id", "event_id"),
    # In this order the oldest are purged, so that what is left of an organization never has a gap.
    Index("ix_events_oldest", "published_at", "org_id", "sequence"),
    key=["sequence"],
)

event_sequences = tenant_table("event_sequences", Column("last_sequence", BigInteger, nullable=False))
