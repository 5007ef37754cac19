"""The lists of the contract, as a page walk needs them: how a row comes, how it goes, how a page is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import insights_pb2, models_pb2, predictions_pb2, tenant_service_pb2

from tests.support import live

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    import asyncpg

    from tests.support.live import Service

    Page = tuple[list[str], str]

ORG = "walker"
MODEL = UUID("00000000-0000-4000-8000-0000000000ff")
_WHO = live.bearer(ORG)


@dataclass(frozen=True)
class Listing:
    """One list: `come` takes an id and an instant."""

    table: str
    key: str
    come: str
    page: Callable[[Service, int, str], Awaitable[Page]]

    async def add(self, connection: asyncpg.Connection, at: datetime) -> str:
        """Insert a row of an instant; returns its id."""
        made = uuid4()
        await connection.execute(self.come, made, at)
        return str(made)

    async def remove(self, connection: asyncpg.Connection, row: str) -> None:
        """Delete a row."""
        await connection.execute(f"DELETE FROM {self.table} WHERE {self.key} = $1", row)  # noqa: S608 - names from the list below


async def _jobs(service: Service, size: int, token: str) -> Page:
    request = predictions_pb2.ListPredictionJobsRequest(page_size=size, page_token=token)
    answer = await service.analytics.ListPredictionJobs(request, metadata=_WHO)
    return [job.id for job in answer.jobs], answer.next_page_token


async def _entries(service: Service, size: int, token: str) -> Page:
    request = tenant_service_pb2.ListAuditEntriesRequest(page_size=size, page_token=token)
    answer = await service.tenants.ListAuditEntries(request, metadata=_WHO)
    return [entry.id for entry in answer.entries], answer.next_page_token


async def _models(service: Service, size: int, token: str) -> Page:
    request = models_pb2.ListModelsRequest(page_size=size, page_token=token)
    answer = await service.analytics.ListModels(request, metadata=_WHO)
    return [model.id for model in answer.models], answer.next_page_token


async def _runs(service: Service, size: int, token: str) -> Page:
    request = ops.ListJobRunsRequest(page_size=size, page_token=token)
    answer = await service.operations.ListJobRuns(request, metadata=live.operator())
    return [run.id for run in answer.runs], answer.next_page_token


async def _insights(service: Service, size: int, token: str) -> Page:
    request = insights_pb2.GetInsightsRequest(page_size=size, page_token=token)
    answer = await service.analytics.GetInsights(request, metadata=_WHO)
    return [insight.id for insight in answer.insights], answer.next_page_token


MODEL_ROW = (
    "INSERT INTO shared_models (model_id, name, type, version, state, training_cutoff, metrics, schema, training_rows, artifact_sha256,"
    " created_at) VALUES ($1, 'm', 'turnover_prediction', $1::uuid::text, 'DEPRECATED', now(), '{}', '{\"features\": []}', 1, '', $2)"
)
LISTS = {
    "ListPredictionJobs": Listing(
        "prediction_jobs", "job_id",
        "INSERT INTO prediction_jobs (org_id, job_id, model_id, model_type, model_version, input_hash, generation, state, schedule_time,"
        " created_at, attempt, crashes, revision, requested_by, traceparent, acknowledged)"
        " VALUES ('walker', $1, '00000000-0000-4000-8000-0000000000ff',"
        " 'turnover_prediction', '1.0.0', decode(md5($1::uuid::text), 'hex'), 1, 'CANCELLED', $2, $2, 0, 0, 1, 'u', '', false)",
        _jobs,
    ),
    "ListAuditEntries": Listing(
        "audit_entries", "entry_id", "INSERT INTO audit_entries VALUES ('walker', $1, $2, 'u', 'a', 't', 'r', 'q', '{}')", _entries,
    ),
    "GetInsights": Listing(
        "insights", "insight_id",
        "INSERT INTO insights (org_id, insight_id, fingerprint, category, insight_type, title, description, confidence, data_points,"
        " actions, provenance, severity, digest, message, created_at, updated_at, shown_at, expires_at, listed, revision)"
        " VALUES ('walker', $1, uuid_send($1), 'hr', 'high_turnover_risk', 't', 'd', 0.5, '{}', '[]', '{}', 1, '',"
        # The id is field 1 of the message, 36 letters.
        " '\\x0a24'::bytea || convert_to($1::uuid::text, 'UTF8'), $2, $2, $2, 'infinity', true, 1)",
        _insights,
    ),
    "ListModels": Listing("shared_models", "model_id", MODEL_ROW, _models),
    "ListJobRuns": Listing(
        "job_runs", "run_id",
        "INSERT INTO job_runs (run_id, job, scope, state, requested_by, created_at)"
        " VALUES ($1, 'train', 'turnover_prediction', 'COMPLETED', 'u', $2)",
        _runs,
    ),
}  # fmt: skip
