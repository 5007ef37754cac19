"""Tables of organizations."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Text

from server.db.naming import tenant_table

organizations = tenant_table("organizations", Column("first_seen_at", DateTime(timezone=True), nullable=False))

organization_profiles = tenant_table(
    "organization_profiles",
    Column("display_name", Text, nullable=False),
    Column("industry", Text, nullable=False),
    Column("size_range", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

tenant_switches = tenant_table(
    "tenant_switches",
    Column("pooled_training", Boolean, nullable=False),
    Column("benchmark_contribution", Boolean, nullable=False),
    Column("retain_prediction_inputs", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
