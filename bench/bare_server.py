"""The bare handler: `python -m bench.bare_server` answers GetPredictionJob by one indexed SELECT and nothing else.

No credential, no validation, no tenant, no span, no log: one asyncpg statement on a pool, and the same answer as ours
built from the row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from analytics.v1 import models_pb2
from analytics.v1 import predictions_pb2 as pb

from bench.bare_handler import run

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg
    from google.protobuf.timestamp_pb2 import Timestamp

_JOB = "SELECT * FROM prediction_jobs WHERE org_id = $1 AND job_id = $2"


def job_message(row: asyncpg.Record) -> pb.PredictionJob:
    """Build the answer from the columns."""
    result = json.loads(row["result"])
    made = pb.PredictionJob(
        id=str(row["job_id"]),
        model_id=str(row["model_id"]),
        model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION,
        model_version=row["model_version"],
        input_hash=f"jcs-sha256:{row['input_hash'].hex()}",
        state=pb.PredictionJobState.Value(f"PREDICTION_JOB_STATE_{row['state']}"),
        attempt=row["attempt"],
        revision=row["revision"],
        generation=row["generation"],
        turnover=pb.TurnoverResult(
            score=result["score"],
            predicted_to_leave=result["likely"],
            confidence=result["confidence"],
            contributions=[
                pb.Contribution(
                    feature=item["feature"],
                    direction=pb.ContributionDirection.Value(f"CONTRIBUTION_DIRECTION_{item['direction']}"),
                    contribution=item["contribution"],
                    band=pb.ValueBand.Value(f"VALUE_BAND_{item['band']}"),
                )
                for item in result["contributions"]
            ],
            model_was_drifting=result["model_was_drifting"],
        ),
    )
    _set(made.schedule_time, row["schedule_time"])
    _set(made.create_time, row["created_at"])
    _set(made.start_time, row["started_at"])
    _set(made.complete_time, row["completed_at"])
    return made


async def _job(pool: asyncpg.Pool, org: str, request: pb.GetPredictionJobRequest) -> pb.GetPredictionJobResponse:
    row = await pool.fetchrow(_JOB, org, UUID(request.job_id))
    return pb.GetPredictionJobResponse(job=None if row is None else job_message(row))


def _set(field: Timestamp, instant: datetime) -> None:
    field.FromDatetime(instant)


if __name__ == "__main__":
    run("GetPredictionJob", pb.GetPredictionJobRequest, pb.GetPredictionJobResponse, _job)
