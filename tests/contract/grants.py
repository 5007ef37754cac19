"""The reviewed list of who may do what to which table; the catalogue must hold exactly this.

A change here is a change of who sees whose data: review it as such.
"""

from __future__ import annotations

TENANT = "(org_id = ( SELECT NULLIF(current_setting('app.org_id'::text, true), ''::text) AS \"nullif\"))"
ALL_ROWS = "true"

SHARED_TABLES = frozenset(
    {
        *(
            "shared_models",
            "shared_model_artifacts",
            "shared_model_evaluations",
            "job_runs",
            "alembic_version",
            "prediction_backlog",
            "shared_outbox",
        ),
        *("schedules", "scheduled_runs", "job_run_organizations"),
        *("shared_benchmark_cells", "benchmark_releases", "benchmark_members", "benchmark_privacy_budget", "benchmark_secret"),
    }
)
"""Tables that belong to no tenant: models are trained on pooled rows, runs and their schedule belong to the platform, the
backlog is one row of sums. `job_run_organizations` says of each organization whether a run dealt with it, and nothing else. Events
in `shared_outbox` are about what is shared, and wait for the relay to copy them to every tenant.

Benchmark cells are figures of ten organizations or more; `benchmark_members` says under tags which ones counted, and nobody
but the owner reads `benchmark_secret`, with which the tags are made.
"""

SHARED_REFERENCES = frozenset({("prediction_jobs", "shared_models")})
"""Foreign keys from a tenant's table to a shared one; every other foreign key starts with org_id."""

QUEUE_COLUMNS = (
    *("acknowledged", "attempt", "crashes", "failures", "generation", "job_id", "lease_token", "lease_until", "model_id", "model_type"),
    *("model_version", "org_id", "revision", "schedule_time", "state", "traceparent"),
)
QUEUE_CHANGES = (
    *("acknowledged", "attempt", "completed_at", "crashes", "error_message", "error_reason", "failures", "lease_token"),
    *("lease_until", "result", "revision", "schedule_time", "started_at", "state"),
)

FACTS = ("contracts", "employee_exits", "employees", "payroll_entries", "performance_reviews", "spend_entries")

# (role, table, privilege, columns); "*" is the whole table.
GRANTS: frozenset[tuple[str, str, str, tuple[str, ...]]] = frozenset(
    {
        *(("app", "audit_entries", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        *(("app", table, privilege, ("*",)) for table in FACTS for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")),
        *(("app", "idempotency_keys", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")),
        *(("app", "organization_profiles", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("app", "tenant_switches", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("app", "prediction_jobs", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        ("app", "prediction_starts", "SELECT", ("*",)),
        *(("app", "outbox", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        ("dispatch", "outbox", "INSERT", ("*",)),
        ("app", "prediction_turns", "SELECT", ("*",)),
        ("app", "prediction_backlog", "SELECT", ("*",)),
        ("app", "shared_models", "SELECT", ("*",)),
        ("app", "shared_model_artifacts", "SELECT", ("*",)),
        ("app", "shared_model_evaluations", "SELECT", ("*",)),
        ("app", "alembic_version", "SELECT", ("*",)),
        *(("app", "job_runs", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("app", "schedules", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        *(("app", "scheduled_runs", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        *(("app", "job_run_organizations", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "DELETE")),
        *(("app", "organizations", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        ("dispatch", "prediction_jobs", "SELECT", QUEUE_COLUMNS),
        ("dispatch", "prediction_jobs", "UPDATE", QUEUE_CHANGES),
        *(("dispatch", "prediction_starts", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "DELETE")),
        *(("dispatch", "prediction_turns", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("dispatch", "prediction_backlog", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("app", "insights", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")),
        *(("app", "insight_views", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "DELETE")),
        *(("trainer", f"pooled_{rows}_rows", "SELECT", ("*",)) for rows in ("contract", "review", "spend", "turnover")),
        *(("trainer", "shared_models", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("trainer", "shared_model_artifacts", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        *(("trainer", "shared_model_evaluations", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        *(("app", "organization_metrics", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")),
        ("app", "shared_benchmark_cells", "SELECT", ("*",)),
        ("benchmark", "benchmark_contributions", "SELECT", ("*",)),
        *(("benchmark", "shared_benchmark_cells", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("benchmark", "benchmark_releases", privilege, ("*",)) for privilege in ("SELECT", "INSERT")),
        *(("benchmark", "benchmark_members", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "DELETE")),
        *(("benchmark", "benchmark_privacy_budget", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *(("app", table, "SELECT", ("*",)) for table in ("events", "event_sequences")),
        *(("relay", "outbox", privilege, ("*",)) for privilege in ("SELECT", "DELETE")),
        *(("relay", "events", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "DELETE")),
        *(("relay", "event_sequences", privilege, ("*",)) for privilege in ("SELECT", "INSERT", "UPDATE")),
        *((role, "shared_outbox", "INSERT", ("*",)) for role in ("benchmark", "trainer")),
        *(("relay", "shared_outbox", privilege, ("*",)) for privilege in ("SELECT", "DELETE")),
        ("relay", "shared_outbox", "UPDATE", ("copied_to",)),
    }
)

TENANT_TABLES = (
    *FACTS,
    *("audit_entries", "idempotency_keys", "organization_profiles", "prediction_jobs", "prediction_starts"),
    *(
        "events",
        "event_sequences",
        "insights",
        "insight_views",
        "organizations",
        "organization_metrics",
        "outbox",
        "prediction_turns",
        "tenant_switches",
    ),
)

# (table, policy, role, using, with check)
POLICIES: frozenset[tuple[str, str, str, str, str]] = frozenset(
    {
        *((table, "tenant", "app", TENANT, TENANT) for table in TENANT_TABLES),
        *((table, "migration", "analytics_owner", ALL_ROWS, ALL_ROWS) for table in TENANT_TABLES),
        ("prediction_jobs", "dispatch", "dispatch", ALL_ROWS, ALL_ROWS),
        ("outbox", "dispatch", "dispatch", ALL_ROWS, ALL_ROWS),
        ("prediction_turns", "dispatch", "dispatch", ALL_ROWS, ALL_ROWS),
        ("prediction_starts", "dispatch", "dispatch", ALL_ROWS, ALL_ROWS),
        *((table, "relay", "relay", ALL_ROWS, ALL_ROWS) for table in ("outbox", "events", "event_sequences")),
    }
)

# (function, owner, SECURITY DEFINER, search_path, who may execute it). `PUBLIC` stands for everybody. Of our schema, and not
# of an extension. One that runs as its definer passes every policy by its owner: it needs a search_path and named callers.
FUNCTIONS: frozenset[tuple[str, str, bool, str, tuple[str, ...]]] = frozenset(
    {
        ("analytics_now()", "analytics_owner", False, "", ("PUBLIC", "analytics_owner")),
        # The ids of all organizations, for work that goes through them; a tenant's transaction has no statement that calls it.
        ("list_orgs(text,integer)", "analytics_owner", True, "pg_catalog, pg_temp", ("analytics_owner", "app", "relay")),
        ("prediction_room(text,bigint,bigint,bigint)", "analytics_owner", False, "", ("analytics_owner", "app")),
    }
)
