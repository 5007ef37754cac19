"""The audit log's table."""

from sqlalchemy import Column, DateTime, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import tenant_table

audit_entries = tenant_table(
    "audit_entries",
    Column("entry_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Index("ix_audit_entries_newest", "org_id", "at", "entry_id"),
    Index("ix_audit_entries_action", "org_id", "action", "at", "entry_id"),
    key=["entry_id"],
)
