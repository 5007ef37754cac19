"""Tables of benchmarks: what an organization contributes is its own; cells, releases, members and budgets belong to none."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, DateTime, Double, Integer, LargeBinary, Numeric, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.naming import shared_table, tenant_table

organization_metrics = tenant_table(
    "organization_metrics",
    Column("metric", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("value", Double, nullable=False),
    Column("weight", Double, nullable=False),
    Column("currency", Text, nullable=False, server_default=""),
    Column("computed_at", DateTime(timezone=True), nullable=False),
    key=["metric", "period"],
)

shared_benchmark_cells = shared_table(
    "shared_benchmark_cells",
    Column("metric", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("industry", Text, primary_key=True),
    Column("size_range", Text, primary_key=True),
    Column("percentile25", Numeric(18, 4)),
    Column("percentile50", Numeric(18, 4)),
    Column("percentile75", Numeric(18, 4)),
    Column("contributors", Text, nullable=False),
    Column("withheld", Text, nullable=False),
    Column("epsilon", Double),
    Column("main_currency", Boolean, nullable=False),
    Column("last_updated", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "(withheld = '') = (percentile25 IS NOT NULL AND percentile50 IS NOT NULL AND percentile75 IS NOT NULL)", name="figures"
    ),
)

benchmark_releases = shared_table(
    "benchmark_releases",
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("release_id", Uuid, nullable=False, unique=True),
    Column("released_at", DateTime(timezone=True), nullable=False),
    Column("shown", JSONB, nullable=False),
    Column("totals", JSONB, nullable=False),
)

benchmark_members = shared_table(
    "benchmark_members",
    Column("metric", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("unit_row", Integer, primary_key=True),
    Column("unit_column", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("tags", LargeBinary, nullable=False),
)

benchmark_privacy_budget = shared_table(
    "benchmark_privacy_budget",
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("metric", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("industry", Text, primary_key=True),
    Column("size_range", Text, primary_key=True),
    Column("epsilon", Numeric(12, 6), nullable=False),
    CheckConstraint("epsilon >= 0", name="spent"),
)

benchmark_secret = shared_table(
    "benchmark_secret",
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("secret", LargeBinary, nullable=False),
    CheckConstraint("single", name="single"),
)
