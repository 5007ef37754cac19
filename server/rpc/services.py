"""Which handlers serve which service; `server.rpc.server` checks that every RPC has exactly one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.rpc.benchmarks import BenchmarkRpcs
from server.rpc.events import EventRpcs
from server.rpc.facts import FactRpcs
from server.rpc.insights import InsightRpcs
from server.rpc.models import ModelRpcs
from server.rpc.operations import OperationRpcs
from server.rpc.prediction_batches import PredictionBatchRpcs
from server.rpc.predictions import PredictionRpcs
from server.rpc.queue import QueueRpcs
from server.rpc.schedule import ScheduleRpcs
from server.rpc.tenants import TenantRpcs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.app import App


def services(app: App) -> Mapping[str, Sequence[object]]:
    """Return the handler objects by full service name."""
    return {
        "analytics.v1.AnalyticsService": [
            PredictionRpcs(app),
            PredictionBatchRpcs(app),
            ModelRpcs(app),
            InsightRpcs(app),
            BenchmarkRpcs(app),
        ],
        "analytics.v1.FactService": [FactRpcs(app)],
        "analytics.events.v1.EventService": [EventRpcs(app)],
        "analytics.v1.TenantService": [TenantRpcs(app)],
        "analytics.admin.v1.OperationsService": [OperationRpcs(app), ScheduleRpcs(app), QueueRpcs(app)],
    }
