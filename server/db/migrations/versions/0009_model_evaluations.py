"""What there is to draw of a model version, stored as it is registered.

A table of its own, because lists of versions do not read it. The trainer writes it with the version; tenants read it, as they read
the version: it is about the pooled rows together and names none.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "shared_model_evaluations",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("evaluation", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["shared_models.model_id"], name=op.f("fk_shared_model_evaluations_model_id_shared_models")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_shared_model_evaluations")),
    )
    op.execute("GRANT SELECT ON shared_model_evaluations TO app")
    op.execute("GRANT SELECT, INSERT ON shared_model_evaluations TO trainer")


def downgrade() -> None:
    """Undo."""
    op.drop_table("shared_model_evaluations")
