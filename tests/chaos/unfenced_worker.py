"""A worker without its guard: it finishes whether the lease is its own or not. For positive controls only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sqlalchemy import update

from server.db import now
from server.predictions.model import JobState
from server.predictions.results import to_json
from server.predictions.tables import prediction_jobs
from workers import __main__ as worker
from workers import predictions

if TYPE_CHECKING:
    from server.db import Tx
    from server.predictions.model import Lease, TurnoverResult


async def _finish(tx: Tx, lease: Lease, result: TurnoverResult) -> bool:
    columns = prediction_jobs.c
    return bool(
        await tx.run(
            update(prediction_jobs)
            .where(columns.org_id == lease.org, columns.job_id == lease.job_id)
            .values(
                state=JobState.COMPLETED,
                result=to_json(result),
                completed_at=now(),
                revision=columns.revision + 1,
                lease_token=None,
                lease_until=None,
            )
        )
    )


if __name__ == "__main__":
    vars(predictions)["complete_prediction"] = _finish
    sys.exit(worker.main())
