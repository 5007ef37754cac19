"""The queue in virtual time: several dispatchers claim, imagined workers finish after a while."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg

from server.db.engines import DbRole
from server.predictions.dispatch import store as dispatch
from server.predictions.leases import store
from server.predictions.model import JobFailure

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime

    from server.db import Database
    from server.predictions.dispatch.store import Limits
    from server.predictions.model import Start
    from tests.support.clock import VirtualClock
    from tests.support.databases import Cluster

_MODEL = """
INSERT INTO shared_models
    (model_id, name, type, version, state, training_cutoff, metrics, schema, training_rows, artifact_sha256, created_at)
VALUES ($1, 'made up', $2, '1.0.0', 'ACTIVE', analytics_now(), '{}', '{}', 0, '', analytics_now())
"""
_JOBS = """
INSERT INTO prediction_jobs (org_id, job_id, model_id, model_type, model_version, input_hash, generation, state, schedule_time,
    created_at, attempt, crashes, revision, requested_by, traceparent, acknowledged)
SELECT $1, gen_random_uuid(), $2, $3, '1.0.0', uuid_send(gen_random_uuid()), 1, 'QUEUED', analytics_now(),
    analytics_now() + n * interval '1 microsecond', 0, 0, 1, 'test', '', false
FROM generate_series(1, $4) AS n
"""


@dataclass
class History:
    """What happened: starts in order, and how many of each organization ran at the most."""

    starts: list[tuple[datetime, str]] = field(default_factory=list)
    most_running: Counter[str] = field(default_factory=Counter)
    began: datetime | None = None

    def most_in_any_minute(self) -> int:
        """The largest number of starts in any 60 s."""
        most = first = 0
        for last, (at, _) in enumerate(self.starts):
            while at - self.starts[first][0] >= timedelta(seconds=60):
                first += 1
            most = max(most, last - first + 1)
        return most

    def per_full_minute(self) -> list[int]:
        """Starts in each consecutive 60 s, the last one, when the queue ran empty, left out."""
        counts: Counter[int] = Counter()
        for at, _ in self.starts:
            counts[(at - self.starts[0][0]) // timedelta(seconds=60)] += 1
        return [counts[minute] for minute in range(max(counts))]


async def add_model(cluster: Cluster, database: str, model_type: str = "turnover_prediction") -> UUID:
    """Register a model that nobody scores with."""
    model_id = uuid4()
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        await connection.execute(_MODEL, model_id, model_type)
    finally:
        await connection.close()
    return model_id


async def add_jobs(
    cluster: Cluster, database: str, model_id: UUID, jobs: Sequence[tuple[str, int]], model_type: str = "turnover_prediction"
) -> None:
    """Queue jobs: pairs of organization and number."""
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        await connection.executemany(_JOBS, [(org, model_id, model_type, number) for org, number in jobs])
    finally:
        await connection.close()


@dataclass
class Simulation:
    """Claims with several dispatchers at once, finishes jobs after a random time, and keeps the history."""

    db: Database
    clock: VirtualClock
    limits: Limits
    dice: random.Random
    dispatchers: int = 4
    longest_job_seconds: float = 4.0
    history: History = field(default_factory=History)
    _ending: list[tuple[datetime, Start]] = field(default_factory=list)

    async def run(self, jobs: int) -> History:
        """Let virtual time pass until `jobs` have ended."""
        ended = 0
        while ended < jobs:
            now = await self.clock.advance(self.dice.uniform(0.5, 2.0))
            due = [start for at, start in self._ending if at <= now]
            self._ending = [(at, start) for at, start in self._ending if at > now]
            await asyncio.gather(*(self._finish(start) for start in due))
            ended += len(due)
            await self.dispatch(now)
        return self.history

    async def dispatch(self, now: datetime) -> list[Start]:
        """Let all dispatchers claim at the same time."""
        claims = await asyncio.gather(*(self._claim() for _ in range(self.dispatchers)))
        starts = [start for claim in claims for start in claim]
        for start in starts:
            self.history.starts.append((now, start.org))
            self._ending.append((now + timedelta(seconds=self.dice.uniform(0.1, self.longest_job_seconds)), start))
        running: dict[str, int] = defaultdict(int)
        for _, start in self._ending:
            running[start.org] += 1
        for org, number in running.items():
            self.history.most_running[org] = max(self.history.most_running[org], number)
        return starts

    async def _claim(self) -> Sequence[Start]:
        async with self.db.platform(DbRole.DISPATCH) as tx:
            return await dispatch.claim(tx, self.limits)

    async def _finish(self, start: Start) -> None:
        async with self.db.platform(DbRole.DISPATCH) as tx:
            (lease,) = await store.acknowledge(tx, [start], timedelta(hours=1))
            assert await store.end(tx, {lease: JobFailure("INPUT_LOST", "made up")}) == [lease]
