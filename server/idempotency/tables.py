"""Table of remembered answers."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, Text

from server.db.naming import tenant_table

idempotency_keys = tenant_table(
    "idempotency_keys",
    Column("method", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_idempotency_keys_age", "at"),
    key=["method", "request_id"],
)
