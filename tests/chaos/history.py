"""What happened to every accepted prediction, kept by the database itself, and the verdict over it.

As in Jepsen's total-queue: after a full drain nothing accepted may be missing (lost), nothing may be there that nobody
asked for (unexpected), and nothing may have happened twice (doubled); what needed more than one start is counted (recovered).
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from server.predictions.model import TERMINAL, TRANSITIONS, JobState
from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from tests.support.stack import Stack

DRAIN_SECONDS = 30.0
# Written by a trigger, so that a change which no process remembers is seen too.
_RECORD = """
CREATE TABLE job_history (
    at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id uuid NOT NULL, generation int NOT NULL, attempt int NOT NULL,
    state_before text NOT NULL, state text NOT NULL, generation_before int NOT NULL
);
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO job_history (job_id, generation, attempt, state_before, state, generation_before)
    VALUES (NEW.job_id, NEW.generation, NEW.attempt, CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END, NEW.state,
            CASE WHEN TG_OP = 'INSERT' THEN 0 ELSE OLD.generation END);
    RETURN NULL;
END $$;
CREATE TRIGGER record_insert AFTER INSERT ON prediction_jobs FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TRIGGER record_update AFTER UPDATE ON prediction_jobs FOR EACH ROW
    WHEN (OLD.revision <> NEW.revision OR OLD.state <> NEW.state) EXECUTE FUNCTION record_change();
"""
_ENDS = "SELECT job_id, generation, count(*) AS times FROM job_history WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED') GROUP BY 1, 2"
_CHANGES = """
SELECT job_id, state_before, state, generation - generation_before AS generations, count(*) AS times FROM job_history
WHERE (state <> state_before OR generation <> generation_before) AND job_id IN (SELECT job_id FROM prediction_jobs WHERE org_id LIKE $1)
GROUP BY 1, 2, 3, 4
"""
_JOBS = "SELECT job_id, generation, state, error_reason, attempt FROM prediction_jobs WHERE org_id LIKE $1"
_UNFINISHED = "SELECT count(*) FROM prediction_jobs WHERE state IN ('QUEUED', 'RUNNING') AND org_id LIKE $1"
_LEFT = """
SELECT org_id, job_id, generation, state, attempt, crashes, acknowledged, lease_until - clock_timestamp() AS lease,
    schedule_time - clock_timestamp() AS due
FROM prediction_jobs WHERE state IN ('QUEUED', 'RUNNING') AND org_id LIKE $1 LIMIT 20
"""
_FORGET = """
UPDATE prediction_jobs SET state = 'CANCELLED', lease_token = NULL, lease_until = NULL, completed_at = clock_timestamp()
WHERE state IN ('QUEUED', 'RUNNING')
"""
_AUDITED = """
SELECT request_id, count(*) AS times, count(*) FILTER (WHERE details->>'deduplicated' = 'false') AS first
FROM audit_entries WHERE action = 'prediction.requested' GROUP BY 1
"""
_EVENTS = """
SELECT payload->>'job_id' AS job_id, (payload->>'generation')::int AS generation, type, count(*) AS times
FROM (SELECT type, payload FROM outbox UNION ALL SELECT type, payload FROM events) told
WHERE type LIKE 'prediction.%' GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class Observed:
    """What the database says after the drain: keys are job ids with generations, or ids of requests."""

    jobs: Mapping[str, asyncpg.Record]
    ends: Mapping[tuple[str, int], int]
    audited: Mapping[str, tuple[int, int]]
    events: Mapping[tuple[str, int], Mapping[str, int]] | None
    changes: Collection[asyncpg.Record]


@dataclass
class Told:
    """What callers were told: job ids by request id, calls per request id, and the generations that are CANCELLED."""

    accepted: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    cancelled: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Verdict:
    """Numbers, and a sentence for everything that should not be."""

    accepted: int = 0
    recovered: int = 0
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All of them."""
        return [*self.lost, *self.unexpected, *self.doubled, *self.unaudited, *self.untold, *self.astray]


@asynccontextmanager
async def connected(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """Connect to the stack's database as superuser."""
    connection = await asyncpg.connect(stack.cluster.postgres.admin_url, database=stack.database)
    try:
        yield connection
    finally:
        await connection.close()


async def record(stack: Stack) -> None:
    """Have the database keep the history from now on."""
    async with connected(stack) as connection:
        await connection.execute(_RECORD)


async def unfinished(stack: Stack, orgs: str) -> int:
    """How many jobs of the organizations like `orgs` have not ended."""
    async with connected(stack) as connection:
        number: int = await connection.fetchval(_UNFINISHED, orgs)
    return number


async def drained(stack: Stack, orgs: str = "%") -> None:
    """Wait until every job has ended."""

    async def ended() -> bool:
        return await unfinished(stack, orgs) == 0

    try:
        await until_so(ended, DRAIN_SECONDS)
    except TimeoutError:
        async with connected(stack) as connection:
            left = [str(dict(row)) for row in await connection.fetch(_LEFT, orgs)]
        raise AssertionError("\n".join(["these did not end:", *left])) from None


async def forget_unfinished(stack: Stack) -> None:
    """Cancel what an earlier test left behind."""
    async with connected(stack) as connection:
        await connection.execute(_FORGET)


async def observe(connection: asyncpg.Connection, orgs: str = "%") -> Observed:
    """Read everything of the organizations whose names are like `orgs`."""
    jobs = await connection.fetch(_JOBS, orgs)
    ends = await connection.fetch(_ENDS)
    audited = await connection.fetch(_AUDITED)
    events: dict[tuple[str, int], dict[str, int]] = {}
    has_outbox = await connection.fetchval("SELECT to_regclass('outbox') IS NOT NULL")
    for row in await connection.fetch(_EVENTS) if has_outbox else []:
        events.setdefault((row["job_id"], row["generation"]), {})[row["type"]] = row["times"]
    return Observed(
        {str(row["job_id"]): row for row in jobs},
        {(str(row["job_id"]), row["generation"]): row["times"] for row in ends},
        {row["request_id"]: (row["first"], row["times"]) for row in audited},
        events if has_outbox else None,
        await connection.fetch(_CHANGES, orgs),
    )


def judge(told: Told, observed: Observed) -> Verdict:
    """Compare what callers were told with what is stored after the drain."""
    verdict = Verdict(accepted=len(told.accepted))
    asked_for = set(told.accepted.values())
    for job_id in asked_for - observed.jobs.keys():
        verdict.lost.append(f"{job_id} is gone")
    for job_id, row in observed.jobs.items():
        if job_id not in asked_for:
            verdict.unexpected.append(f"{job_id} was asked for by nobody")
        if row["state"] != "COMPLETED":
            verdict.lost.append(f"{job_id} is {row['state']} {row['error_reason'] or ''}")
        verdict.recovered += row["attempt"] > 1
        for generation in range(1, row["generation"] + 1):
            _judge_generation(verdict, (job_id, generation), told, observed)
    for request_id in told.accepted:
        # One entry for what was accepted, and one for every call that got the same answer again.
        first, times = observed.audited.get(request_id, (0, 0))
        if first != 1 or times > told.calls[request_id]:
            verdict.unaudited.append(
                f"request {request_id}, called {told.calls[request_id]} times, has {times} audit entries, {first} first"
            )
    verdict.astray += [
        f"{change['job_id']} went {change['times']} times from {change['state_before'] or 'nowhere'} to {change['state']},"
        f" {change['generations']} generations on"
        for change in observed.changes
        if not allowed(change["state_before"], change["state"], change["generations"])
    ]
    return verdict


def allowed(before: str, after: str, generations: int) -> bool:
    """Whether a job may go from one state (empty: it did not exist) to another, that many generations on."""
    if not before:
        return (after, generations) == (JobState.QUEUED, 1)
    if JobState(after) not in TRANSITIONS[JobState(before)]:
        return False
    # Only asking again for what ended without a result begins a generation, and nothing else does.
    return generations == (1 if JobState(before) in TERMINAL else 0)


def _judge_generation(verdict: Verdict, generation: tuple[str, int], told: Told, observed: Observed) -> None:
    times = observed.ends.get(generation, 0)
    if times != 1:
        (verdict.doubled if times else verdict.lost).append(f"{generation} ended {times} times")
    if observed.events is None:
        return
    end = "prediction.cancelled" if generation in told.cancelled else "prediction.completed"
    if (events := observed.events.get(generation, {})) != {"prediction.requested": 1, end: 1}:
        verdict.untold.append(f"{generation}: events {events}")
