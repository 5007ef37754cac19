"""The ledger of ticks, what a run did for each organization, and which organizations there are.

Organizations that have facts or a profile are taken over; `list_orgs` names them for the work that goes through all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.db.policies import guard

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "organizations",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "schedules",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job", "scope", "cron", name=op.f("pk_schedules")),
    )
    op.create_table(
        "scheduled_runs",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["job_runs.run_id"], name=op.f("fk_scheduled_runs_run_id")),
        sa.PrimaryKeyConstraint("job", "scope", "scheduled_for", name=op.f("pk_scheduled_runs")),
    )
    op.create_index("uq_scheduled_runs_run", "scheduled_runs", ["run_id"], unique=True)
    op.create_table(
        "job_run_organizations",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("outcome IN ('DONE', 'SKIPPED', 'FAILED')", name=op.f("ck_job_run_organizations_outcome")),
        sa.ForeignKeyConstraint(["run_id"], ["job_runs.run_id"], name=op.f("fk_job_run_organizations_run_id")),
        sa.PrimaryKeyConstraint("run_id", "org_id", name=op.f("pk_job_run_organizations")),
    )
    op.add_column("job_runs", sa.Column("organizations_total", sa.BigInteger(), nullable=True))
    op.add_column("job_runs", sa.Column("organizations", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    for statement in (*guard("organizations", app="SELECT, INSERT"), *_shared(), *_known(), *_list()):
        op.execute(statement)


def _shared() -> list[str]:
    return [
        "GRANT SELECT, INSERT ON schedules, scheduled_runs TO app",
        "GRANT SELECT, INSERT, DELETE ON job_run_organizations TO app",
    ]


def _known() -> list[str]:
    return [
        """
        INSERT INTO organizations (org_id, first_seen_at)
        SELECT org_id, analytics_now() FROM (SELECT org_id FROM employees UNION SELECT org_id FROM organization_profiles) known
        """,
    ]


def _list() -> list[str]:
    """Runs as the owner, which the policy `migration` lets see every row: ids alone, and a bounded number of them."""
    return [
        """
        CREATE FUNCTION list_orgs(after text, most integer) RETURNS SETOF text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
        'SELECT org_id FROM public.organizations WHERE org_id > after ORDER BY org_id LIMIT least(most, 10000)'
        """,
        "REVOKE ALL ON FUNCTION list_orgs FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION list_orgs TO app",
    ]


def downgrade() -> None:
    """Undo."""
    op.execute("DROP FUNCTION list_orgs")
    op.drop_column("job_runs", "organizations")
    op.drop_column("job_runs", "organizations_total")
    op.drop_table("job_run_organizations")
    op.drop_index("uq_scheduled_runs_run", table_name="scheduled_runs")
    op.drop_table("scheduled_runs")
    op.drop_table("schedules")
    op.drop_table("organizations")
