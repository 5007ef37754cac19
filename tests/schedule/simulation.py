"""The schedule in virtual time: four workers look, pause, take, run, and die; what they left behind is judged."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from sqlalchemy import Text, Uuid, bindparam, text

from server.identity import OrgId
from server.schedule import store
from server.schedule.calendar import CALENDAR
from server.schedule.ledger import store as ledger
from server.schedule.ledger.model import Tick
from server.schedule.ledger.tick import Ticker
from server.schedule.marks.mark import mark_done
from server.tenants import store as tenants
from workers.organizations import Done, for_each_organization

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    import asyncpg

    from server.app import App
    from server.schedule.ledger.model import Standing
    from server.schedule.model import Claim
    from tests.support.clock import VirtualClock

SKEWS = (-30.0, -11.0, 13.0, 30.0)
"""Seconds by which the clock of each worker is wrong."""
HOLD = timedelta(seconds=60)
ORGS = (OrgId("org-a"), OrgId("org-b"))
CRASHES_PER_RUN = 2
_UNTICKED = "SELECT job, created_at FROM job_runs r WHERE NOT EXISTS (SELECT FROM scheduled_runs s WHERE s.run_id = r.run_id)"
_EFFECTS = "CREATE TABLE effects (tick timestamptz, job text, org text); GRANT SELECT, INSERT ON effects TO app"
_EFFECT = text("INSERT INTO effects SELECT scheduled_for, job, :org FROM scheduled_runs WHERE run_id = :run").bindparams(
    bindparam("org", type_=Text), bindparam("run", type_=Uuid)
)


class Died(BaseException):
    """The worker is gone in the middle of what it did."""


@dataclass
class Worker:
    """A process with a clock of its own, and what it saw when it last looked."""

    skew: timedelta
    seen: Sequence[Standing] = ()


@dataclass
class Verdict:
    """What is wrong with what is left; lists of texts."""

    doubled: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All of it."""
        return [*self.doubled, *self.early, *self.missed, *self.invented, *self.repeated, *self.lost]


@dataclass
class Simulation:
    """Days pass; `trusting` has workers go by their own clocks, `marking` off has effects and marks commit apart.

    The dice are thrown in the order in which PostgreSQL answers, so that each run is another one.
    """

    app: App
    clock: VirtualClock
    owner: asyncpg.Connection
    dice: random.Random
    trusting: bool = False
    marking: bool = True
    crash_share: float = 0.05
    deaths: Counter[str] = field(default_factory=Counter)
    outages: int = 0
    _steps: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    _workers: list[Worker] = field(default_factory=lambda: [Worker(timedelta(seconds=skew)) for skew in SKEWS])
    _blocked: set[str] = field(default_factory=set)
    _crashes: Counter[object] = field(default_factory=Counter)
    # When some worker looked and took without dying, and no earlier run of the job was in the way.
    _chances: defaultdict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def run(self, days: int) -> Verdict:
        """Let so many days pass and judge what was done in them."""
        await self.owner.execute(_EFFECTS)
        for org in ORGS:
            async with self.app.tx(org) as tx:
                await tenants.remember(tx, org)
        self._began = self._now = await self.clock.advance(0)
        await Ticker(self.app.db, CALENDAR).look()
        while self._now - self._began < timedelta(days=days):
            self._now = await self.clock.advance(self._step())
            await self._round(self.dice.sample(self._workers, self.dice.randint(1, len(self._workers))))
        while await self._unfinished():
            self._now = await self.clock.advance(2 * HOLD.total_seconds())
            await asyncio.gather(*(self._work() for _ in self._workers))
        return await self._judge()

    def _step(self) -> float:
        """Seconds to the next thing that happens: around a tick, during the day, or after an outage."""
        ahead = min((schedule.next_tick(self._now) - self._now).total_seconds() for schedule in CALENDAR)
        self._steps += 1
        if self._steps % 100 == 0:
            self.outages += 1
            return self.dice.uniform(1, 5) * 86400
        around = [ahead - self.dice.uniform(0, 30), ahead, ahead + self.dice.uniform(0, 60), self.dice.uniform(60, 50_000)]
        return max(self.dice.choice(around), 1.0)

    async def _round(self, actors: Sequence[Worker]) -> None:
        self._blocked = await self._unfinished()
        took = await asyncio.gather(*(self._tick(worker) for worker in actors))
        if any(took):
            for schedule in CALENDAR:
                if schedule.job not in self._blocked:
                    self._chances[schedule.job].append(self._now)
        if await self._unfinished():
            await asyncio.gather(*(self._work() for _ in actors))

    async def _tick(self, worker: Worker) -> bool:
        """Take what was due at the last look, then look again and take; some stop in between. Whether it went through."""
        ticker = Ticker(self.app.db, CALENDAR)
        for standing in worker.seen:
            if await ticker.take(standing) is not None:
                # The run of an older tick is in the way of the present one, until the next round.
                self._blocked.add(standing.schedule.job)
        worker.seen = await ticker.look()
        if self.trusting:
            worker.seen = [replace(standing, now=standing.now + worker.skew) for standing in worker.seen]
        if self.dice.random() < 0.3:
            # It stands still between looking and taking, and goes on some other day.
            self.deaths["paused"] += 1
            return False
        for standing in worker.seen:
            if self.dice.random() < 0.1 and await self._die_taking(standing):
                return False
            await ticker.take(standing)
        worker.seen = ()
        return True

    async def _die_taking(self, standing: Standing) -> bool:
        """Die between taking a tick and the commit."""
        if standing.due is None:
            return False
        try:
            async with self.app.db.platform() as tx:
                await ledger.take(tx, Tick(standing.schedule, standing.due), uuid4())
                _die()
        except ledger.TickTaken:
            return False
        except Died:
            self.deaths["taking"] += 1
        return True

    async def _work(self) -> None:
        """Take runs and do them; some are left in the middle."""
        while True:
            async with self.app.db.platform() as tx:
                claim = await store.claim(tx, uuid4(), HOLD, [schedule.job for schedule in CALENDAR])
            if claim is None:
                return
            try:
                await for_each_organization(self.app, claim, _unheard, functools.partial(self._affect, claim), at_once=1)
            except Died:
                self.deaths["running"] += 1
                continue
            async with self.app.db.platform() as tx:
                assert await store.complete(tx, claim, {})

    async def _affect(self, claim: Claim, org: OrgId) -> Done:
        """Do the work of one organization: a row that nothing keeps from being there twice."""
        async with self.app.tx(org) as tx:
            if self.marking:
                await mark_done(tx, claim, org)
            await tx.run(_EFFECT, {"run": claim.run_id, "org": org})
            self._may_die(claim)
        self._may_die(claim)
        return Done(marked=self.marking)

    def _may_die(self, claim: Claim) -> None:
        if self._crashes[claim.run_id] < CRASHES_PER_RUN and self.dice.random() < self.crash_share:
            self._crashes[claim.run_id] += 1
            raise Died

    async def _unfinished(self) -> set[str]:
        return {row["job"] for row in await self.owner.fetch("SELECT job FROM job_runs WHERE state IN ('QUEUED', 'RUNNING')")}

    async def _judge(self) -> Verdict:
        verdict = Verdict()
        rows = await self.owner.fetch("SELECT job, scheduled_for AS tick, taken_at FROM scheduled_runs")
        effects = Counter((row["job"], row["tick"], row["org"]) for row in await self.owner.fetch("SELECT * FROM effects"))
        counts = Counter((row["job"], row["tick"]) for row in rows)
        self.taken = Counter(row["job"] for row in rows)
        verdict.doubled = [f"{tick} was taken {number} times" for tick, number in counts.items() if number != 1]
        verdict.early = [f"{row['job']} of {row['tick']} was taken at {row['taken_at']}" for row in rows if row["taken_at"] < row["tick"]]
        for schedule in CALENDAR:
            ticks = set()
            tick = schedule.next_tick(self._began)
            while tick <= self._now:
                following = schedule.next_tick(tick)
                ticks.add((schedule.job, tick))
                if (schedule.job, tick) not in counts and any(tick <= chance < following for chance in self._chances[schedule.job]):
                    verdict.missed.append(f"{schedule.job} of {tick}")
                tick = following
            verdict.invented += [f"{job} of {at}" for job, at in counts if job == schedule.job and (job, at) not in ticks]
        # Nobody runs anything by hand here: a run without a tick would do the work of one again.
        verdict.invented += [f"a run of {row['job']} at {row['created_at']}" for row in await self.owner.fetch(_UNTICKED)]
        verdict.repeated = [f"{effect} {number} times" for effect, number in effects.items() if number != 1]
        verdict.lost = [f"{job} of {tick} for {org}" for job, tick in counts for org in ORGS if (job, tick, org) not in effects]
        return verdict


def _die() -> NoReturn:
    raise Died


def _unheard(_share: float, _words: str) -> None:
    """Nobody asks for the progress."""
