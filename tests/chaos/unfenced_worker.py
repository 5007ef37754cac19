"""A worker without its guard: it finishes whether the lease is its own or not. For positive controls only."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.predictions.model import JobFailure
from server.predictions.results import to_json
from workers import __main__ as worker
from workers import predictions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.db import Tx
    from server.predictions.model import Lease, Outcome

_END = text(
    """
    UPDATE prediction_jobs SET state = 'COMPLETED', result = CAST(:output AS jsonb), completed_at = analytics_now(),
        revision = revision + 1, lease_token = NULL, lease_until = NULL
    WHERE org_id = :org AND job_id = :job
    """
)


async def _finish(tx: Tx, outcomes: Mapping[Lease, Outcome]) -> Sequence[Lease]:
    for lease, outcome in outcomes.items():
        assert not isinstance(outcome, JobFailure)
        await tx.run(_END, {"org": lease.org, "job": lease.job_id, "output": json.dumps(to_json(outcome))})
    return list(outcomes)


if __name__ == "__main__":
    vars(predictions)["finish_predictions"] = _finish
    sys.exit(worker.main())
