"""Pooled rows are numbered by organization first, as their contributors are: one sort of very many wide rows in place of two.

Nothing else of the views changes, so they are taken as they are.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

_VIEWS = ("pooled_turnover_rows", "pooled_contract_rows", "pooled_review_rows", "pooled_spend_rows")
_BY_SUBJECT = "OVER (ORDER BY (md5(("
_BY_ORGANIZATION_TOO = "OVER (ORDER BY (md5(org_id)), (md5(("


def upgrade() -> None:
    """Apply."""
    _replace(_BY_SUBJECT, _BY_ORGANIZATION_TOO)


def downgrade() -> None:
    """Undo."""
    _replace(_BY_ORGANIZATION_TOO, _BY_SUBJECT)


def _replace(before: str, after: str) -> None:
    for view in _VIEWS:
        definition: str = op.get_bind().exec_driver_sql(f"SELECT pg_get_viewdef('{view}')").scalar_one()
        if definition.count(before) != 1:
            msg = f"{view} is not numbered as this revision expects: {definition}"
            raise ValueError(msg)
        op.execute(f"CREATE OR REPLACE VIEW {view} WITH (security_barrier) AS {definition.replace(before, after)}")
