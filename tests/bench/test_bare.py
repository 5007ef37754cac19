"""The bare handlers answer what the service answers; else their speed says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from analytics.v1 import insights_pb2, models_pb2, predictions_pb2
from google.protobuf.duration_pb2 import Duration

from bench import bare_insights, bare_server
from tests.support import insights, live, rows

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

ACME = live.bearer("acme")


async def test_the_bare_handlers_read_a_prediction_and_an_insight_as_the_service_does(
    cluster: Cluster, database: str, ready_service: Service
) -> None:
    request = predictions_pb2.RequestPredictionRequest(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    request.turnover.attributes.CopyFrom(rows.attributes(7))
    job_id = (await ready_service.analytics.RequestPrediction(request, metadata=ACME)).job_id
    wait = predictions_pb2.GetPredictionJobRequest(job_id=job_id, wait=Duration(seconds=20))
    ended = (await ready_service.analytics.GetPredictionJob(wait, metadata=ACME)).job
    assert ended.HasField("turnover")
    await insights.recorded(ready_service.app.db, "acme", [insights.finding()])
    (listed,) = (await ready_service.analytics.GetInsights(insights_pb2.GetInsightsRequest(), metadata=ACME)).insights
    admin = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        job = await admin.fetchrow("SELECT * FROM prediction_jobs WHERE job_id = $1", UUID(job_id))
        insight = await admin.fetchrow("SELECT * FROM insights")
    finally:
        await admin.close()
    assert job is not None
    assert insight is not None
    assert bare_server.job_message(job) == ended
    assert bare_insights.insight_message(insight) == listed
