"""Facts of four domains: exits, payroll, contracts, spend and reviews beside employees."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server.db.policies import guard

revision = "0003"
down_revision = "0002"

_TABLES = ("employee_exits", "payroll_entries", "contracts", "spend_entries", "performance_reviews")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "employee_exits",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("employee_key", sa.Text(), nullable=False),
        sa.Column("exit_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "employee_key", "exit_date", name=op.f("pk_employee_exits")),
    )
    op.create_table(
        "payroll_entries",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("employee_key", sa.Text(), nullable=False),
        sa.Column("period", sa.Date(), nullable=False),
        sa.Column("cost_centre", sa.Text(), nullable=False),
        sa.Column("pay_type", sa.Text(), nullable=False),
        sa.Column("gross_amount", sa.Numeric(19, 4), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("hours", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "employee_key", "period", "cost_centre", "pay_type", name=op.f("pk_payroll_entries")),
    )
    op.create_table(
        "contracts",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("contract_key", sa.Text(), nullable=False),
        sa.Column("counterparty_key", sa.Text(), nullable=False),
        sa.Column("value", sa.Numeric(19, 4), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_date", sa.Date(), nullable=True),
        sa.Column("contract_type", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("pricing", sa.Text(), nullable=True),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("monthly_value", sa.Double(), nullable=True),
        sa.Column("term_months", sa.Double(), nullable=True),
        sa.Column("tenure_months", sa.Double(), nullable=True),
        sa.Column("notice_days", sa.Integer(), nullable=True),
        sa.Column("offers_received", sa.Integer(), nullable=True),
        sa.Column("services", sa.Integer(), nullable=True),
        sa.Column("amendments", sa.Integer(), nullable=True),
        sa.Column("disputes", sa.Integer(), nullable=True),
        sa.Column("late_payments", sa.Integer(), nullable=True),
        sa.Column("auto_renew", sa.Boolean(), nullable=True),
        sa.Column("competed", sa.Boolean(), nullable=True),
        sa.Column("support_included", sa.Boolean(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "contract_key", name=op.f("pk_contracts")),
    )
    op.create_index(
        "ix_contracts_counterparty",
        "contracts",
        ["org_id", "counterparty_key"],
        unique=False,
        postgresql_where=sa.text("counterparty_key <> ''"),
    )
    op.create_table(
        "spend_entries",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("period", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(19, 4), nullable=True),
        sa.Column("budget", sa.Numeric(19, 4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "unit", "category", "period", name=op.f("pk_spend_entries")),
    )
    op.create_table(
        "performance_reviews",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("employee_key", sa.Text(), nullable=False),
        sa.Column("review_date", sa.Date(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("target", sa.Double(), nullable=True),
        sa.Column("scale_max", sa.Double(), nullable=True),
        sa.Column("standard_minutes", sa.Double(), nullable=True),
        sa.Column("work_in_progress", sa.Double(), nullable=True),
        sa.Column("overtime_minutes", sa.Double(), nullable=True),
        sa.Column("incentive", sa.Double(), nullable=True),
        sa.Column("idle_minutes", sa.Double(), nullable=True),
        sa.Column("people", sa.Double(), nullable=True),
        sa.Column("idle_people", sa.Integer(), nullable=True),
        sa.Column("changes", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "employee_key", "review_date", name=op.f("pk_performance_reviews")),
    )
    for table in _TABLES:
        for statement in guard(table, app="SELECT, INSERT, UPDATE, DELETE"):
            op.execute(statement)


def downgrade() -> None:
    """Undo."""
    for table in reversed(_TABLES):
        op.drop_table(table)
