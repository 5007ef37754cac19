"""Table of runs; shared, for a run belongs to the platform and not to a tenant."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Double, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import shared_table

job_runs = shared_table(
    "job_runs",
    Column("run_id", Uuid, primary_key=True),
    Column("job", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("progress", Double, nullable=False, server_default="0"),
    Column("message", Text, nullable=False, server_default=""),
    Column("requested_by", Text, nullable=False),
    Column("request_id", Text),
    Column("request_hash", LargeBinary),
    Column("traceparent", Text, nullable=False, server_default=""),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("revision", BigInteger, nullable=False, server_default="1"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease", Uuid),
    Column("lease_until", DateTime(timezone=True)),
    Column("error_reason", Text, nullable=False, server_default=""),
    Column("error_message", Text, nullable=False, server_default=""),
    Column("result", JSONB(none_as_null=True)),
    CheckConstraint("state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED')", name="state"),
    Index("uq_job_runs_unfinished", "job", "scope", unique=True, postgresql_where=text("state IN ('QUEUED', 'RUNNING')")),
    Index("uq_job_runs_request", "requested_by", "request_id", unique=True, postgresql_where=text("request_id IS NOT NULL")),
    Index("ix_job_runs_newest", "created_at", "run_id"),
)
