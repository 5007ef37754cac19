"""Leases are held, renewed and ended for jobs of many organizations at once, by the role that claims them.

It may write a result and an error, and read neither. Failed runs are counted apart from starts: a start that no worker
ever took is no failure.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Grant what the statements of `server.predictions.leases` need."""
    op.add_column("prediction_jobs", sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.execute("GRANT SELECT (failures, model_id, traceparent), UPDATE (failures, result, schedule_time) ON prediction_jobs TO dispatch")


def downgrade() -> None:
    """Take it back."""
    op.execute("REVOKE SELECT (model_id, traceparent), UPDATE (result, schedule_time) ON prediction_jobs FROM dispatch")
    op.drop_column("prediction_jobs", "failures")
