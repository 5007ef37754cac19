"""Go through the organizations one by one, a few at the same time, and remember what came of each.

A run that is taken again after a crash skips what is marked; what may be repeated is the organizations it was at. A job
that marks an organization in its own transaction (`server.schedule.marks.mark.mark_done`) repeats nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.db.statements import caused_by_data
from server.errors import AnalyticsError, Reason
from server.lifecycle import end
from server.queue import QueueUnavailable
from server.schedule.marks import store
from server.schedule.marks.mark import NotToBeDone
from server.schedule.marks.model import Entry, Outcome
from server.schedule.model import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from server.app import App
    from server.identity import OrgId
    from server.schedule.model import Claim

_PAGE = 1_000
_PASSING = (SQLAlchemyError, QueueUnavailable, OSError, TimeoutError)
_PAUSES_SECONDS = (0.1, 1.0)
"""Before an organization is tried again after a passing failure."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """The work was done; `marked` says that its transaction wrote the mark."""

    marked: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do; `reason` is a fixed word of the job, for example `NO_FACTS`, never data of the tenant."""

    reason: str


@dataclass(slots=True)
class Counts:
    """What came of the organizations in this taking of the run; `before` had come of them in earlier ones, whatever it was."""

    total: int = 0
    before: int = 0
    done: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    @property
    def dealt(self) -> int:
        """Organizations that are behind the run."""
        return self.before + self.done + self.skipped.total() + self.failed


if TYPE_CHECKING:
    Progress: TypeAlias = Callable[[float, str], None]
    Act: TypeAlias = Callable[[OrgId], Awaitable[Done | Skipped]]


async def for_each_organization(app: App, claim: Claim, progress: Progress, act: Act, *, at_once: int = 4) -> Counts:
    """Do `act` for every organization that has no mark of this run yet; returns what came of them.

    Args:
        app: where the organizations are.
        claim: the run, held by the caller.
        progress: gets the share (0 to 1) and words; raises LeaseLost when the run was given up.
        act: deals with one organization. May run again for one after a crash, unless it marks it itself.
        at_once: how many organizations at the same time.

    An exception of `act` is logged and makes its organization FAILED (reason: that of an AnalyticsError, else INTERNAL); a
    passing one, of the database say, is tried again twice before. The others go on.

    Raises:
        LeaseLost: the run belongs to another worker by now; everything has stopped.
        SQLAlchemyError: the database is away, so that marks cannot be written; everything has stopped.

    """
    walk = _Walk(app, claim, progress, act)
    await walk.prepare()
    lanes = [asyncio.create_task(walk.lane(), name="organizations") for _ in range(min(at_once, max(1, len(walk.waiting))))]
    try:
        await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        # Raises what one of them failed of, when all have stopped.
        await end(*lanes)
    return walk.counts


@dataclass(slots=True)
class _Walk:
    """One taking of a run."""

    app: App
    claim: Claim
    progress: Progress
    act: Act
    counts: Counts = field(default_factory=Counts)
    waiting: deque[OrgId] = field(default_factory=deque)

    async def prepare(self) -> None:
        """Find out who is to be dealt with: ids only, a few megabytes for 100,000 organizations."""
        after = ""
        while True:
            async with self.app.db.platform() as tx:
                page = await store.pending(tx, self.claim.run_id, after, _PAGE)
            self.waiting.extend(page.orgs)
            self.counts.total += page.known
            if page.last is None:
                break
            after = page.last
        self.counts.before = self.counts.total - len(self.waiting)
        async with self.app.db.platform() as tx:
            await store.announce(tx, self.claim, self.counts.total)
        self._report()

    async def lane(self) -> None:
        """Deal with organizations until none is left."""
        while self.waiting:
            await self._deal(self.waiting.popleft())
            self._report()

    async def _deal(self, org: OrgId) -> None:
        try:
            came = await self._patiently(org)
        except LeaseLost:
            raise
        except NotToBeDone:
            await self._settled_elsewhere(org)
            return
        except Exception as error:  # noqa: BLE001 - one organization takes no other along
            reason = error.reason if isinstance(error, AnalyticsError) else Reason.INTERNAL
            _log.warning("organization.failed", job=self.claim.job, org_id=org, reason=reason, exc_info=error)
            await self._mark(Entry(org, Outcome.FAILED, reason))
            self.counts.failed += 1
            return
        await failpoints.passing("schedule.organization_done")
        if isinstance(came, Skipped):
            await self._mark(Entry(org, Outcome.SKIPPED, came.reason))
            self.counts.skipped[came.reason] += 1
            return
        if not came.marked:
            await self._mark(Entry(org, Outcome.DONE))
        self.counts.done += 1

    async def _patiently(self, org: OrgId) -> Done | Skipped:
        for pause in _PAUSES_SECONDS:
            try:
                return await self.act(org)
            except _PASSING as error:
                if caused_by_data(error):
                    raise
                _log.info("organization.tried_again", job=self.claim.job, org_id=org, error=type(error).__name__)
            self._report()
            await asyncio.sleep(pause)
        return await self.act(org)

    async def _mark(self, entry: Entry) -> None:
        async with self.app.db.platform() as tx:
            written = await store.record(tx, self.claim, [entry])
        if not written:
            raise LeaseLost

    async def _settled_elsewhere(self, org: OrgId) -> None:
        """Find out why a transaction was refused its mark: the run is lost, or the answer to an earlier commit was."""
        async with self.app.db.platform() as tx:
            if not await store.marked(tx, self.claim, org):
                raise LeaseLost
        self.counts.done += 1

    def _report(self) -> None:
        """Say how far it is; a run that was given up ends here."""
        counts = self.counts
        share = counts.dealt / counts.total if counts.total else 1.0
        self.progress(share, f"{counts.dealt:,} of {counts.total:,} organizations")
