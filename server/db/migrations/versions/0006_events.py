"""Events are published: each gets its place in its organization's sequence from one relay, a database role of its own.

`outbox` gets the order of writing and where an event comes from. `shared_outbox` holds events of no tenant, which the
relay copies to all of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.db.policies import guard

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_outbox_oldest", table_name="outbox")
    for column in _origin():
        op.add_column("outbox", column)
    op.add_column("outbox", sa.Column("place", sa.BigInteger(), sa.Identity(), nullable=False))
    op.create_index("ix_outbox_place", "outbox", ["place"], unique=False)
    op.create_table(
        "shared_outbox",
        *_content(),
        *_origin(),
        sa.Column("place", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("copied_to", sa.Text(), server_default="", nullable=False),
        sa.UniqueConstraint("event_id", name=op.f("uq_shared_outbox_event_id")),
    )
    op.create_index("ix_shared_outbox_place", "shared_outbox", ["place"], unique=False)
    op.create_table(
        "events",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *_content(),
        *_origin(),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "sequence", name=op.f("pk_events")),
        sa.UniqueConstraint("org_id", "event_id", name=op.f("uq_events_org_id_event_id")),
    )
    op.create_index("ix_events_oldest", "events", ["published_at", "org_id", "sequence"], unique=False)
    op.create_table(
        "event_sequences",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_event_sequences")),
    )
    for statement in _guards():
        op.execute(statement)


def _content() -> list[sa.Column[object]]:
    return [
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    ]


def _origin() -> list[sa.Column[object]]:
    return [
        sa.Column("causation_id", sa.Text(), server_default="", nullable=False),
        sa.Column("residency", sa.Text(), server_default="", nullable=False),
        sa.Column("provenance", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    ]


def _guards() -> list[str]:
    return [
        "CREATE POLICY relay ON outbox TO relay USING (true) WITH CHECK (true)",
        "GRANT SELECT, DELETE ON outbox TO relay",
        *guard("events", app="SELECT", others={"relay": ["SELECT, INSERT, DELETE"]}),
        *guard("event_sequences", app="SELECT", others={"relay": ["SELECT, INSERT, UPDATE"]}),
        "GRANT INSERT ON shared_outbox TO trainer",
        "GRANT SELECT, UPDATE (copied_to), DELETE ON shared_outbox TO relay",
        "GRANT EXECUTE ON FUNCTION list_orgs(text, int) TO relay",
    ]


def downgrade() -> None:
    """Undo; what was published is lost."""
    op.drop_table("event_sequences")
    op.drop_table("events")
    op.drop_table("shared_outbox")
    op.execute("DROP POLICY relay ON outbox")
    op.execute("REVOKE ALL ON outbox FROM relay")
    op.execute("REVOKE ALL ON FUNCTION list_orgs(text, int) FROM relay")
    op.drop_index("ix_outbox_place", table_name="outbox")
    for column in ("place", "provenance", "residency", "causation_id"):
        op.drop_column("outbox", column)
    op.create_index("ix_outbox_oldest", "outbox", ["occurred_at", "org_id", "event_id"], unique=False)
