"""Insights, with their messages ready made, and who has seen them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.db.policies import guard

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "insights",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("insight_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("insight_type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Numeric(precision=4, scale=3), nullable=False),
        sa.Column("data_points", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("provenance", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("severity", sa.Double(), nullable=False),
        sa.Column("severity_dismissed", sa.Double(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dismissed_by", sa.Text(), nullable=True),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("category IN ('hr', 'finance', 'legal', 'operations')", name=op.f("ck_insights_category")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_insights_confidence")),
        sa.CheckConstraint("shown_at = coalesce(reopened_at, created_at)", name=op.f("ck_insights_shown")),
        sa.CheckConstraint(
            "(dismissed_at IS NULL) = (dismissed_by IS NULL) AND (dismissed_at IS NULL) = (severity_dismissed IS NULL)",
            name=op.f("ck_insights_dismissal"),
        ),
        sa.CheckConstraint("NOT listed OR dismissed_at IS NULL", name=op.f("ck_insights_listed")),
        sa.PrimaryKeyConstraint("org_id", "insight_id", name=op.f("pk_insights")),
        sa.UniqueConstraint("org_id", "fingerprint", name=op.f("uq_insights_org_id_fingerprint")),
    )
    for name, columns, where in _INDEXES:
        op.create_index(name, "insights", columns, unique=False, postgresql_where=sa.text(where))
    op.create_table(
        "insight_views",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("insight_id", sa.Uuid(), nullable=False),
        sa.Column("viewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "insight_id"],
            ["insights.org_id", "insights.insight_id"],
            name=op.f("fk_insight_views_org_id_insight_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "user_id", "insight_id", name=op.f("pk_insight_views")),
    )
    op.create_index("ix_insight_views_insight", "insight_views", ["org_id", "insight_id"], unique=False)
    # Lists read nothing but the message: of a row that is too long for its page, everything else moves out first.
    op.execute("ALTER TABLE insights ALTER COLUMN message SET STORAGE MAIN")
    # A list of one tenant is planned before the tenant is known. Of average ones the planner would read all rows and sort them,
    # which is as good for them; so it is told to expect a tenant as large as the largest, and walks the index in its order.
    op.execute("ALTER TABLE insights ALTER COLUMN org_id SET (n_distinct = 1)")
    for statement in (
        *guard("insights", app="SELECT, INSERT, UPDATE, DELETE"),
        *guard("insight_views", app="SELECT, INSERT, DELETE"),
    ):
        op.execute(statement)


_INDEXES = (
    ("ix_insights_newest", ["org_id", "shown_at", "insight_id"], "listed"),
    ("ix_insights_category", ["org_id", "category", "shown_at", "insight_id"], "listed"),
    ("ix_insights_type", ["org_id", "insight_type", "shown_at", "insight_id"], "listed"),
    ("ix_insights_ending", ["org_id", "expires_at"], "listed"),
    ("ix_insights_ended", ["org_id", "expires_at"], "NOT listed"),
)


def downgrade() -> None:
    """Undo."""
    op.drop_table("insight_views")
    op.drop_table("insights")
