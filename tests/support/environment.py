"""Settings for tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from server import settings as settings_module
from server.db.engines import DbRole
from tests.support.databases import PASSWORDS

if TYPE_CHECKING:
    from server.settings import Settings
    from tests.support.databases import Cluster

_ROOT = Path(__file__).resolve().parents[2]
AS_INSTALLED = os.pathsep.join(str(_ROOT / each) for each in ("tests/support/as_installed", ".", "generated"))
"""PYTHONPATH of services: what only tests require is not there."""
VALKEY_SECONDS = 30.0
"""A machine that stands still for a second is no outage of Valkey; tests of one take what the product takes."""
SECRET_KEY = "dGVzdC1zZWNyZXQta2V5LW9mLTMyLWJ5dGVzLi4uLi4="


def settings(cluster: Cluster, database: str, **overrides: object) -> Settings:
    """Return settings for a test's database; free ports, generous limits."""
    values: dict[str, object] = {
        "grpc_port": 0,
        "metrics_port": 0,
        "worker_metrics_port": 0,
        "database_url": cluster.owner_url(database),
        "redis_url": cluster.valkey.url,
        "redis_timeout_seconds": VALKEY_SECONDS,
        "db_app_password": PASSWORDS[DbRole.APP],
        "db_dispatch_password": PASSWORDS[DbRole.DISPATCH],
        "db_trainer_password": PASSWORDS[DbRole.TRAINER],
        "db_benchmark_password": PASSWORDS[DbRole.BENCHMARK],
        "db_relay_password": PASSWORDS[DbRole.RELAY],
        "secret_key": SECRET_KEY,
        "tenant_requests_per_second": 1e6,
        "tenant_request_burst": 1_000_000,
        "prediction_starts_per_minute": 100_000,
    }
    return settings_module.load(**{**values, **overrides})
