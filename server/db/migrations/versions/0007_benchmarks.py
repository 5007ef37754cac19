"""Benchmarks: values of organizations, cells, releases with their members, the privacy budget, and the role that releases.

Role `benchmark` sees one view: values of organizations that contribute, with industry and size, under a tag in the place of
the organization. The tag is made with a secret of this database that only the owner can read, and differs from metric to
metric.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.db.policies import guard

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "organization_metrics",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("period", sa.Date(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "metric", "period", name=op.f("pk_organization_metrics")),
    )
    op.create_table(
        "shared_benchmark_cells",
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text(), nullable=False),
        sa.Column("size_range", sa.Text(), nullable=False),
        sa.Column("percentile25", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("percentile50", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("percentile75", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("contributors", sa.Text(), nullable=False),
        sa.Column("withheld", sa.Text(), nullable=False),
        sa.Column("epsilon", sa.Double(), nullable=True),
        sa.Column("main_currency", sa.Boolean(), nullable=False),
        sa.Column("last_updated", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(withheld = '') = (percentile25 IS NOT NULL AND percentile50 IS NOT NULL AND percentile75 IS NOT NULL)",
            name=op.f("ck_shared_benchmark_cells_figures"),
        ),
        sa.PrimaryKeyConstraint("metric", "currency", "industry", "size_range", name=op.f("pk_shared_benchmark_cells")),
    )
    op.create_table(
        "benchmark_releases",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("release_id", sa.Uuid(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shown", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_benchmark_releases")),
        sa.UniqueConstraint("release_id", name=op.f("uq_benchmark_releases_release_id")),
    )
    op.create_table(
        "benchmark_members",
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("unit_row", sa.Integer(), nullable=False),
        sa.Column("unit_column", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tags", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("metric", "currency", "unit_row", "unit_column", "number", name=op.f("pk_benchmark_members")),
    )
    op.create_table(
        "benchmark_privacy_budget",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text(), nullable=False),
        sa.Column("size_range", sa.Text(), nullable=False),
        sa.Column("epsilon", sa.Numeric(precision=12, scale=6), nullable=False),
        sa.CheckConstraint("epsilon >= 0", name=op.f("ck_benchmark_privacy_budget_spent")),
        sa.PrimaryKeyConstraint("year", "metric", "currency", "industry", "size_range", name=op.f("pk_benchmark_privacy_budget")),
    )
    op.create_table(
        "benchmark_secret",
        sa.Column("single", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_benchmark_secret_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_benchmark_secret")),
    )
    for statement in (*guard("organization_metrics", app="SELECT, INSERT, UPDATE, DELETE"), *_contributions(), *_shared()):
        op.execute(statement)


def _contributions() -> list[str]:
    """What role `benchmark` sees of organizations: the latest fresh value of each metric, and consent read in the same query.

    The view runs with its owner's rights, so the role needs none on the tables. `gen_random_uuid()` draws from the strong
    source of PostgreSQL; the tag is a keyed hash in the nested form of HMAC (RFC 2104), cut to 16 bytes.
    """
    return [
        """
        INSERT INTO benchmark_secret (secret)
        SELECT sha256(decode(replace(string_agg(gen_random_uuid()::text, ''), '-', ''), 'hex')) FROM generate_series(1, 4)
        """,
        """
        CREATE VIEW benchmark_contributions WITH (security_barrier) AS
        SELECT substring(sha256(k.secret || sha256(k.secret || convert_to(m.metric, 'UTF8') || '\\x00'::bytea
                   || convert_to(m.org_id, 'UTF8'))) FROM 1 FOR 16) AS tag,
               m.metric, m.value, m.weight, m.currency,
               coalesce(p.industry, '') AS industry, coalesce(p.size_range, '') AS size_range
        FROM (
            SELECT DISTINCT ON (org_id, metric) org_id, metric, value, weight, currency
            FROM organization_metrics, (SELECT analytics_now() AT TIME ZONE 'UTC' AS at OFFSET 0) n
            WHERE period > (n.at - interval '100 days')::date AND period <= n.at::date
            ORDER BY org_id, metric, period DESC
        ) m
        CROSS JOIN benchmark_secret k
        LEFT JOIN organization_profiles p ON p.org_id = m.org_id
        LEFT JOIN tenant_switches s ON s.org_id = m.org_id
        WHERE coalesce(s.benchmark_contribution, true)
        """,
        "GRANT SELECT ON benchmark_contributions TO benchmark",
    ]


def _shared() -> list[str]:
    return [
        "GRANT SELECT ON shared_benchmark_cells TO app",
        "GRANT SELECT, INSERT, UPDATE ON shared_benchmark_cells TO benchmark",
        "GRANT SELECT, INSERT ON benchmark_releases TO benchmark",
        "GRANT SELECT, INSERT, DELETE ON benchmark_members TO benchmark",
        "GRANT SELECT, INSERT, UPDATE ON benchmark_privacy_budget TO benchmark",
        "GRANT INSERT ON shared_outbox TO benchmark",
    ]


def downgrade() -> None:
    """Undo."""
    op.execute("REVOKE ALL ON shared_outbox FROM benchmark")
    op.execute("DROP VIEW benchmark_contributions")
    for table in (
        "benchmark_secret",
        "benchmark_privacy_budget",
        "benchmark_members",
        "benchmark_releases",
        "shared_benchmark_cells",
        "organization_metrics",
    ):
        op.drop_table(table)
