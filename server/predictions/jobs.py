"""The worker's job of this slice: its name and its arguments, ids only."""

from __future__ import annotations

from uuid import UUID

from server.identity import JobId, OrgId
from server.predictions.model import Start
from server.queue import PREDICTIONS, Job

EXECUTE = "prediction.execute"


def execute_prediction(start: Start) -> Job:
    """Return the job that executes a claimed start; its key is unique per start."""
    key = f"{EXECUTE}:{start.job_id}:{start.generation}:{start.attempt}"
    return Job(PREDICTIONS, EXECUTE, key, (start.org, str(start.job_id), start.generation, start.attempt))


def parse_start(org: str, job_id: str, generation: int, attempt: int) -> Start:
    """Read the arguments of `execute_prediction`."""
    return Start(OrgId(org), JobId(UUID(job_id)), generation, attempt)
