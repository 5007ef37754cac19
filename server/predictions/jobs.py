"""The worker's job of this slice: its name and its arguments, ids only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from server.identity import JobId, OrgId
from server.predictions.model import Start
from server.queue import PREDICTIONS, Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXECUTE = "prediction.execute"
MOST_TOGETHER = 16
"""Most starts that a worker executes together: beyond, they cost hardly less each, and all of them wait for the last."""


def execute_predictions(starts: Sequence[Start]) -> Sequence[Job]:
    """Return the jobs that execute claimed starts, some together; the key of each is unique, as a start is.

    Few starts are parted between two workers. What was started before runs alone: should it have ended its worker, it
    takes no other along again.
    """
    first = [start for start in starts if start.attempt == 1]
    again = [(start,) for start in starts if start.attempt > 1]
    together = min(-(-len(first) // 2), MOST_TOGETHER)
    return [_job(chunk) for chunk in (*_parted(first, together), *again)]


def parse_start(start: Sequence[str | int]) -> Start:
    """Read an argument of `execute_predictions`."""
    org, job_id, generation, attempt = start
    return Start(OrgId(str(org)), JobId(UUID(str(job_id))), int(generation), int(attempt))


def _parted(starts: Sequence[Start], size: int) -> Iterator[Sequence[Start]]:
    for begin in range(0, len(starts), size or 1):
        yield starts[begin : begin + size]


def _job(starts: Sequence[Start]) -> Job:
    first = starts[0]
    key = f"{EXECUTE}:{first.job_id}:{first.generation}:{first.attempt}"
    return Job(PREDICTIONS, EXECUTE, key, tuple((start.org, str(start.job_id), start.generation, start.attempt) for start in starts))
