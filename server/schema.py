"""All tables of all slices, for Alembic and the tests only."""

from server.audit import tables as audit
from server.benchmarks import tables as benchmarks
from server.db.naming import metadata
from server.events import tables as events
from server.facts import tables as facts
from server.idempotency import tables as idempotency
from server.insights import tables as insights
from server.predictions import tables as predictions
from server.registry import tables as registry
from server.schedule import tables as schedule
from server.tenants import tables as tenants

__all__ = [
    "audit",
    "benchmarks",
    "events",
    "facts",
    "idempotency",
    "insights",
    "metadata",
    "predictions",
    "registry",
    "schedule",
    "tenants",
]
