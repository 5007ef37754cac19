"""Tables of runs and of the ledger; shared, for a run belongs to the platform and not to a tenant.

`job_run_organizations` names organizations and holds nothing of theirs; only operators see it.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    Uuid,
    text,
)
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
    # How many organizations it deals with, and once it ended, what came of them; before that the marks are counted.
    Column("organizations_total", BigInteger),
    Column("organizations", JSONB(none_as_null=True)),
    CheckConstraint("state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED')", name="state"),
    Index("uq_job_runs_unfinished", "job", "scope", unique=True, postgresql_where=text("state IN ('QUEUED', 'RUNNING')")),
    Index("uq_job_runs_request", "requested_by", "request_id", unique=True, postgresql_where=text("request_id IS NOT NULL")),
    Index("ix_job_runs_newest", "created_at", "run_id"),
)

schedules = shared_table(
    "schedules",
    Column("job", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("job", "scope", "cron"),
)

scheduled_runs = shared_table(
    "scheduled_runs",
    Column("job", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scheduled_for", DateTime(timezone=True), nullable=False),
    Column("run_id", Uuid, ForeignKey("job_runs.run_id"), nullable=False),
    Column("taken_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("job", "scope", "scheduled_for"),
    Index("uq_scheduled_runs_run", "run_id", unique=True),
)

job_run_organizations = shared_table(
    "job_run_organizations",
    Column("run_id", Uuid, ForeignKey("job_runs.run_id"), nullable=False),
    Column("org_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("run_id", "org_id"),
    CheckConstraint("outcome IN ('DONE', 'SKIPPED', 'FAILED')", name="outcome"),
)
