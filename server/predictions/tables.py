"""Tables of prediction jobs."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import shared_table, tenant_table

prediction_jobs = tenant_table(
    "prediction_jobs",
    Column("job_id", Uuid, nullable=False),
    Column("model_id", Uuid, ForeignKey("shared_models.model_id"), nullable=False),
    Column("model_type", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("input_hash", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("schedule_time", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("revision", BigInteger, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("lease_token", Uuid),
    Column("lease_until", DateTime(timezone=True)),
    Column("acknowledged", Boolean, nullable=False),
    Column("error_reason", Text),
    Column("error_message", Text),
    Column("result", JSONB(none_as_null=True)),
    UniqueConstraint("org_id", "model_id", "input_hash"),
    CheckConstraint("state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')", name="state"),
    CheckConstraint("(state = 'RUNNING') = (lease_token IS NOT NULL)", name="lease"),
    CheckConstraint("(state = 'COMPLETED') = (result IS NOT NULL)", name="result"),
    Index("ix_prediction_jobs_newest", "org_id", "created_at", "job_id"),
    Index("ix_prediction_jobs_queued", "org_id", "model_type", "schedule_time", "job_id", postgresql_where=text("state = 'QUEUED'")),
    Index("ix_prediction_jobs_due", "schedule_time", postgresql_where=text("state = 'QUEUED'")),
    Index("ix_prediction_jobs_running", "lease_until", "org_id", "model_type", postgresql_where=text("state = 'RUNNING'")),
    key=["job_id"],
)

prediction_starts = tenant_table(
    "prediction_starts",
    Column("job_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("model_type", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Index("ix_prediction_starts_recent", "started_at", "org_id", "model_type"),
    key=["job_id", "generation", "attempt"],
)

prediction_turns = tenant_table("prediction_turns", Column("last_start", DateTime(timezone=True), nullable=False))
"""When each organization was last served; what fairness goes by."""

prediction_backlog = shared_table(
    "prediction_backlog",
    Column("single", Boolean, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("later", BigInteger, nullable=False),
    Column("oldest", DateTime(timezone=True)),
    Column("running", BigInteger, nullable=False),
    Column("starts", BigInteger, nullable=False),
    Column("fresh_until", DateTime(timezone=True), nullable=False),
    CheckConstraint("single", name="single"),
)
"""The last count of the whole queue: one row, which tells of no organization."""
