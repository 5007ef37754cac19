"""First tables: facts, models, predictions, runs, tenants, audit, idempotency; the clock; row-level security."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.db.policies import guard

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_entries",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "entry_id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_action", "audit_entries", ["org_id", "action", "at", "entry_id"], unique=False)
    op.create_index("ix_audit_entries_newest", "audit_entries", ["org_id", "at", "entry_id"], unique=False)
    op.create_table(
        "employees",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("employee_key", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("job_role", sa.Text(), nullable=True),
        sa.Column("business_travel", sa.Text(), nullable=True),
        sa.Column("education_field", sa.Text(), nullable=True),
        sa.Column("over_time", sa.Boolean(), nullable=True),
        sa.Column("job_level", sa.Integer(), nullable=True),
        sa.Column("education_level", sa.Integer(), nullable=True),
        sa.Column("environment_satisfaction", sa.Integer(), nullable=True),
        sa.Column("job_involvement", sa.Integer(), nullable=True),
        sa.Column("job_satisfaction", sa.Integer(), nullable=True),
        sa.Column("relationship_satisfaction", sa.Integer(), nullable=True),
        sa.Column("work_life_balance", sa.Integer(), nullable=True),
        sa.Column("performance_rating", sa.Integer(), nullable=True),
        sa.Column("companies_worked", sa.Integer(), nullable=True),
        sa.Column("stock_option_level", sa.Integer(), nullable=True),
        sa.Column("trainings_last_year", sa.Integer(), nullable=True),
        sa.Column("monthly_income", sa.Double(), nullable=True),
        sa.Column("years_at_company", sa.Double(), nullable=True),
        sa.Column("distance_from_home", sa.Double(), nullable=True),
        sa.Column("salary_hike_percent", sa.Double(), nullable=True),
        sa.Column("total_working_years", sa.Double(), nullable=True),
        sa.Column("years_in_current_role", sa.Double(), nullable=True),
        sa.Column("years_since_promotion", sa.Double(), nullable=True),
        sa.Column("years_with_manager", sa.Double(), nullable=True),
        sa.Column("left_within_year", sa.Boolean(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "employee_key", "as_of", name=op.f("pk_employees")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "method", "request_id", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_age", "idempotency_keys", ["at"], unique=False)
    op.create_table(
        "job_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(), nullable=True),
        sa.Column("traceparent", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("error_message", sa.Text(), server_default="", nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED')", name=op.f("ck_job_runs_state")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_job_runs")),
    )
    op.create_index("ix_job_runs_newest", "job_runs", ["created_at", "run_id"], unique=False)
    op.create_index(
        "uq_job_runs_request", "job_runs", ["requested_by", "request_id"], unique=True, postgresql_where=sa.text("request_id IS NOT NULL")
    )
    op.create_index(
        "uq_job_runs_unfinished", "job_runs", ["job", "scope"], unique=True, postgresql_where=sa.text("state IN ('QUEUED', 'RUNNING')")
    )
    op.create_table(
        "outbox",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "event_id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_oldest", "outbox", ["occurred_at", "org_id", "event_id"], unique=False)
    op.create_table(
        "organization_profiles",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text(), nullable=False),
        sa.Column("size_range", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_organization_profiles")),
    )
    op.create_table(
        "prediction_backlog",
        sa.Column("single", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("later", sa.BigInteger(), nullable=False),
        sa.Column("oldest", sa.DateTime(timezone=True), nullable=True),
        sa.Column("running", sa.BigInteger(), nullable=False),
        sa.Column("starts", sa.BigInteger(), nullable=False),
        sa.Column("fresh_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_prediction_backlog_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_prediction_backlog")),
    )
    op.create_table(
        "prediction_starts",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "job_id", "generation", "attempt", name=op.f("pk_prediction_starts")),
    )
    op.create_index("ix_prediction_starts_recent", "prediction_starts", ["started_at", "org_id", "model_type"], unique=False)
    op.create_table(
        "prediction_turns",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("last_start", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_prediction_turns")),
    )
    op.create_table(
        "shared_models",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("training_cutoff", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("schema", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("training_rows", sa.BigInteger(), nullable=False),
        sa.Column("artifact_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure_reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("state IN ('TRAINING', 'ACTIVE', 'DEPRECATED', 'FAILED')", name=op.f("ck_shared_models_state")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_shared_models")),
        sa.UniqueConstraint("type", "version", name=op.f("uq_shared_models_type_version")),
    )
    op.create_index("ix_shared_models_newest", "shared_models", ["created_at", "model_id"], unique=False)
    op.create_index("uq_shared_models_active", "shared_models", ["type"], unique=True, postgresql_where=sa.text("state = 'ACTIVE'"))
    op.create_table(
        "tenant_switches",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("pooled_training", sa.Boolean(), nullable=False),
        sa.Column("benchmark_contribution", sa.Boolean(), nullable=False),
        sa.Column("retain_prediction_inputs", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_tenant_switches")),
    )
    op.create_table(
        "prediction_jobs",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("schedule_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged", sa.Boolean(), nullable=False),
        sa.Column("error_reason", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("(state = 'COMPLETED') = (result IS NOT NULL)", name=op.f("ck_prediction_jobs_result")),
        sa.CheckConstraint("(state = 'RUNNING') = (lease_token IS NOT NULL)", name=op.f("ck_prediction_jobs_lease")),
        sa.CheckConstraint("state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')", name=op.f("ck_prediction_jobs_state")),
        sa.ForeignKeyConstraint(["model_id"], ["shared_models.model_id"], name=op.f("fk_prediction_jobs_model_id")),
        sa.PrimaryKeyConstraint("org_id", "job_id", name=op.f("pk_prediction_jobs")),
        sa.UniqueConstraint("org_id", "model_id", "input_hash", name=op.f("uq_prediction_jobs_org_id_model_id_input_hash")),
    )
    op.create_index("ix_prediction_jobs_newest", "prediction_jobs", ["org_id", "created_at", "job_id"], unique=False)
    op.create_index(
        "ix_prediction_jobs_queued",
        "prediction_jobs",
        ["org_id", "model_type", "schedule_time", "job_id"],
        unique=False,
        postgresql_where=sa.text("state = 'QUEUED'"),
    )
    op.create_index(
        "ix_prediction_jobs_due", "prediction_jobs", ["schedule_time"], unique=False, postgresql_where=sa.text("state = 'QUEUED'")
    )
    op.create_index(
        "ix_prediction_jobs_running",
        "prediction_jobs",
        ["lease_until", "org_id", "model_type"],
        unique=False,
        postgresql_where=sa.text("state = 'RUNNING'"),
    )
    op.create_table(
        "shared_model_artifacts",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("card", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["shared_models.model_id"], name=op.f("fk_shared_model_artifacts_model_id")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_shared_model_artifacts")),
    )

    for statement in (*_clock(), *_guards(), *_shared(), *_pooled_view(), *_room()):
        op.execute(statement)


def _clock() -> list[str]:
    return [
        "CREATE FUNCTION analytics_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS 'SELECT clock_timestamp()'",
    ]


def _guards() -> list[str]:
    queue = (
        "org_id, job_id, model_type, model_version, generation, state, schedule_time, attempt, crashes, revision, "
        "acknowledged, lease_token, lease_until"
    )
    changed = (
        "state, attempt, crashes, revision, acknowledged, started_at, completed_at, lease_token, lease_until, error_reason, error_message"
    )
    return [
        *guard("audit_entries", app="SELECT, INSERT"),
        *guard("employees", app="SELECT, INSERT, UPDATE, DELETE"),
        *guard("idempotency_keys", app="SELECT, INSERT, UPDATE, DELETE"),
        *guard("organization_profiles", app="SELECT, INSERT, UPDATE"),
        *guard("tenant_switches", app="SELECT, INSERT, UPDATE"),
        *guard(
            "prediction_jobs",
            app="SELECT, INSERT, UPDATE",
            others={"dispatch": [f"SELECT ({queue})", f"UPDATE ({changed})"]},
        ),
        *guard(
            "prediction_starts",
            app="SELECT",
            others={"dispatch": ["SELECT", "INSERT", "DELETE"]},
        ),
        *guard("outbox", app="SELECT, INSERT", others={"dispatch": ["INSERT"]}),
        *guard("prediction_turns", app="SELECT", others={"dispatch": ["SELECT", "INSERT", "UPDATE"]}),
    ]


def _shared() -> list[str]:
    return [
        "GRANT SELECT ON shared_models, shared_model_artifacts TO app",
        "GRANT SELECT, INSERT, UPDATE ON shared_models TO trainer",
        "GRANT SELECT, INSERT ON shared_model_artifacts TO trainer",
        "GRANT SELECT, INSERT, UPDATE ON job_runs TO app",
        "GRANT SELECT ON alembic_version TO app",
        "GRANT SELECT ON prediction_backlog TO app",
        "GRANT SELECT, INSERT, UPDATE ON prediction_backlog TO dispatch",
    ]


def _pooled_view() -> list[str]:
    """What role `trainer` sees of employees: neither organization nor subject, and consent read in the same query.

    The view runs with its owner's rights, so the trainer needs none on the tables.
    """
    attributes = """department, job_role, business_travel, education_field, over_time, job_level, education_level,
        environment_satisfaction, job_involvement, job_satisfaction, relationship_satisfaction, work_life_balance,
        performance_rating, companies_worked, stock_option_level, trainings_last_year, monthly_income, years_at_company,
        distance_from_home, salary_hike_percent, total_working_years, years_in_current_role, years_since_promotion,
        years_with_manager"""
    return [
        f"""
        CREATE VIEW pooled_turnover_rows WITH (security_barrier) AS
        SELECT dense_rank() OVER (ORDER BY md5(org_id)) AS contributor,
               row_number() OVER (ORDER BY md5(org_id || ':' || employee_key), org_id, employee_key) AS place,
               as_of, left_within_year, {attributes}
        FROM (
            SELECT DISTINCT ON (e.org_id, e.employee_key) e.*
            FROM employees e LEFT JOIN tenant_switches s ON s.org_id = e.org_id
            WHERE e.left_within_year IS NOT NULL AND coalesce(s.pooled_training, true)
            ORDER BY e.org_id, e.employee_key, e.as_of DESC
        ) latest
        """,  # noqa: S608 - a fixed list
        "GRANT SELECT ON pooled_turnover_rows TO trainer",
    ]


def _room() -> list[str]:
    """How many more jobs of a tenant may wait, exact until the caller's transaction ends; `docs/decisions/0015-backlog-caps.md`.

    Runs as its caller, so the count is under row-level security. Each statement of a volatile function has a snapshot of
    its own: what is counted under a lock was committed before the lock was given. Rolling the inner block back gives the
    shared lock back, so that nobody waits for the exclusive one while holding it.
    """
    count = "SELECT count(*) FROM (SELECT FROM prediction_jobs WHERE org_id = tenant AND state = 'QUEUED' LIMIT cap) q INTO waiting"
    return [
        f"""
        CREATE FUNCTION prediction_room(tenant text, cap bigint, wanted bigint, most bigint) RETURNS bigint
        LANGUAGE plpgsql VOLATILE AS $$
        DECLARE
            waiting bigint;
            -- What may be queued at once by others: one job by each connection, and one batch.
            others bigint := current_setting('max_connections')::bigint + most;
        BEGIN
            IF wanted > 1 THEN PERFORM pg_advisory_xact_lock(2, hashtext(tenant)); END IF;
            BEGIN
                PERFORM pg_advisory_xact_lock_shared(1, hashtext(tenant));
                {count};
                IF waiting >= cap OR waiting + others <= cap THEN RETURN greatest(cap - waiting, 0); END IF;
                RAISE EXCEPTION 'close to the cap';
            EXCEPTION WHEN raise_exception THEN NULL;
            END;
            PERFORM pg_advisory_xact_lock(1, hashtext(tenant));
            {count};
            RETURN greatest(cap - waiting, 0);
        END $$
        """,
        "REVOKE ALL ON FUNCTION prediction_room FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION prediction_room TO app",
    ]


def downgrade() -> None:
    """Undo."""
    op.execute("DROP FUNCTION prediction_room")
    op.execute("DROP VIEW pooled_turnover_rows")
    op.drop_table("shared_model_artifacts")
    op.drop_index("ix_prediction_jobs_running", table_name="prediction_jobs", postgresql_where=sa.text("state = 'RUNNING'"))
    op.drop_index("ix_prediction_jobs_due", table_name="prediction_jobs", postgresql_where=sa.text("state = 'QUEUED'"))
    op.drop_index("ix_prediction_jobs_queued", table_name="prediction_jobs", postgresql_where=sa.text("state = 'QUEUED'"))
    op.drop_index("ix_prediction_jobs_newest", table_name="prediction_jobs")
    op.drop_table("prediction_jobs")
    op.drop_table("tenant_switches")
    op.drop_index("uq_shared_models_active", table_name="shared_models", postgresql_where=sa.text("state = 'ACTIVE'"))
    op.drop_index("ix_shared_models_newest", table_name="shared_models")
    op.drop_table("shared_models")
    op.drop_index("ix_prediction_starts_recent", table_name="prediction_starts")
    op.drop_table("prediction_turns")
    op.drop_table("prediction_starts")
    op.drop_table("prediction_backlog")
    op.drop_table("organization_profiles")
    op.drop_index("ix_outbox_oldest", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index("uq_job_runs_unfinished", table_name="job_runs", postgresql_where=sa.text("state IN ('QUEUED', 'RUNNING')"))
    op.drop_index("uq_job_runs_request", table_name="job_runs", postgresql_where=sa.text("request_id IS NOT NULL"))
    op.drop_index("ix_job_runs_newest", table_name="job_runs")
    op.drop_table("job_runs")
    op.drop_index("ix_idempotency_keys_age", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("employees")
    op.drop_index("ix_audit_entries_newest", table_name="audit_entries")
    op.drop_index("ix_audit_entries_action", table_name="audit_entries")
    op.drop_table("audit_entries")
    op.execute("DROP FUNCTION analytics_now()")
