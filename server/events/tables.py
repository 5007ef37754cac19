"""Table of events that were not published yet."""

from sqlalchemy import Column, DateTime, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import tenant_table

outbox = tenant_table(
    "outbox",
    Column("event_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Index("ix_outbox_oldest", "occurred_at", "org_id", "event_id"),
    key=["event_id"],
)
