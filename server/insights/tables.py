"""Tables of insights and of who has seen them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import tenant_table

insights = tenant_table(
    "insights",
    Column("insight_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("category", Text, nullable=False),
    Column("insight_type", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("confidence", Numeric(4, 3), nullable=False),
    Column("data_points", JSONB, nullable=False),
    Column("actions", JSONB, nullable=False),
    Column("provenance", JSONB, nullable=False),
    Column("severity", Double, nullable=False),
    Column("severity_dismissed", Double),
    Column("digest", LargeBinary, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("reopened_at", DateTime(timezone=True)),
    Column("shown_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("dismissed_at", DateTime(timezone=True)),
    Column("dismissed_by", Text),
    Column("listed", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("org_id", "fingerprint"),
    CheckConstraint("category IN ('hr', 'finance', 'legal', 'operations')", name="category"),
    CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
    CheckConstraint("shown_at = coalesce(reopened_at, created_at)", name="shown"),
    CheckConstraint(
        "(dismissed_at IS NULL) = (dismissed_by IS NULL) AND (dismissed_at IS NULL) = (severity_dismissed IS NULL)", name="dismissal"
    ),
    CheckConstraint("NOT listed OR dismissed_at IS NULL", name="listed"),
    Index("ix_insights_newest", "org_id", "shown_at", "insight_id", postgresql_where=text("listed")),
    Index("ix_insights_category", "org_id", "category", "shown_at", "insight_id", postgresql_where=text("listed")),
    Index("ix_insights_type", "org_id", "insight_type", "shown_at", "insight_id", postgresql_where=text("listed")),
    Index("ix_insights_ending", "org_id", "expires_at", postgresql_where=text("listed")),
    Index("ix_insights_ended", "org_id", "expires_at", postgresql_where=text("NOT listed")),
    key=["insight_id"],
)
"""`listed` says which rows a list has to look at: never a dismissed one, and an expired one only until `retire` has come by.

`shown_at` is what lists are in the order of. It changes only when an insight that was in no list comes back, so a walk
through pages can neither meet a row twice nor lose one that stood.
"""

insight_views = tenant_table(
    "insight_views",
    Column("user_id", Text, nullable=False),
    Column("insight_id", Uuid, nullable=False),
    Column("viewed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["org_id", "insight_id"], ["insights.org_id", "insights.insight_id"], ondelete="CASCADE"),
    Index("ix_insight_views_insight", "org_id", "insight_id"),
    key=["user_id", "insight_id"],
)
"""Who has seen an insight since it was last opened."""
