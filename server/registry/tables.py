"""Tables of models; shared by all organizations, so without org_id."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import shared_table

shared_models = shared_table(
    "shared_models",
    Column("model_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("training_cutoff", DateTime(timezone=True), nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("schema", JSONB, nullable=False),
    Column("training_rows", BigInteger, nullable=False),
    Column("artifact_sha256", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("activated_at", DateTime(timezone=True)),
    Column("failure_reason", Text, nullable=False, server_default=""),
    Column("evidence", JSONB(none_as_null=True)),
    UniqueConstraint("type", "version"),
    CheckConstraint("state IN ('TRAINING', 'ACTIVE', 'DEPRECATED', 'FAILED')", name="state"),
    Index("uq_shared_models_active", "type", unique=True, postgresql_where=text("state = 'ACTIVE'")),
    Index("ix_shared_models_newest", "created_at", "model_id"),
)

shared_model_evaluations = shared_table(
    "shared_model_evaluations",
    Column("model_id", Uuid, ForeignKey("shared_models.model_id"), primary_key=True),
    Column("evaluation", JSONB, nullable=False),
)

shared_model_artifacts = shared_table(
    "shared_model_artifacts",
    Column("model_id", Uuid, ForeignKey("shared_models.model_id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("card", JSONB, nullable=False),
)
