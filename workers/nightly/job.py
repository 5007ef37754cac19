"""Run the job `daily_metrics`: organization by organization, read, judge, and write it all at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from server.benchmarks import store as benchmarks
from server.events.model import Cause
from server.identity import InsightId
from server.insights.evidence import store as evidence
from server.insights.model import InsightType
from server.insights.record import Recorded, Run, record
from server.insights.retire import retire
from server.insights.store import take_turn
from server.insights.withdraw import withdraw
from server.schedule.marks.mark import mark_done
from server.wire.insights import encode
from workers.nightly.judge import Night, is_empty, judge
from workers.nightly.models import Models, active_models
from workers.organizations import Done, Skipped, for_each_organization
from workers.scorers import Scorers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.app import App
    from server.identity import OrgId
    from server.schedule.model import Claim

    Progress = Callable[[float, str], None]

NO_FACTS = "NO_FACTS"
_log = structlog.get_logger(__name__)


async def calculate_daily_metrics(app: App, claim: Claim, progress: Progress) -> Mapping[str, object]:
    """Find what there is to say of every organization; returns counts: of insights, and of what could not be judged, by name.

    A run that is taken again after a crash counts what it did since.
    """
    progress(0.0, "loading the active models")
    daily = _Daily(app, claim, await active_models(app, Scorers(app.db)))
    await for_each_organization(app, claim, progress, daily.act)
    return dict(sorted(daily.counts.items()))


@dataclass(slots=True)
class _Daily:
    """One taking of the run, and what it counted."""

    app: App
    claim: Claim
    models: Models
    counts: Counter[str] = field(default_factory=Counter)

    async def act(self, org: OrgId) -> Done | Skipped:
        """Deal with one organization."""
        while (came := await self._attempt(org)) is None:
            _log.info("nightly.facts_erased_meanwhile", org_id=org)
        return came

    async def _attempt(self, org: OrgId) -> Done | Skipped | None:
        """Read, judge and write; None when facts were erased in between and nothing was written."""
        async with self.app.read(org) as tx:
            outline = await evidence.outline(tx, org)
            known = await evidence.evidence(tx, org, outline.now.date(), outline.known)
        if is_empty(known):
            # What its facts once gave cause to say has gone with them.
            return Skipped(NO_FACTS) if await self._write(org, Night(judged=set(InsightType)), outline.erasures, marked=False) else None
        night = await asyncio.to_thread(judge, known, self.models, outline.now)
        return Done(marked=True) if await self._write(org, night, outline.erasures, marked=True) else None

    async def _write(self, org: OrgId, night: Night, erasures: int, *, marked: bool) -> bool:
        """Write all of it at once, unless facts were erased since `erasures` were counted; returns whether it was written."""
        while (written := await self._try_to_write(org, night, erasures, marked=marked)) is None:
            _log.info("nightly.more_to_retire", org_id=org)
        return written

    async def _try_to_write(self, org: OrgId, night: Night, erasures: int, *, marked: bool) -> bool | None:
        """Return None when what expired was more than one transaction clears away: nothing else was written then."""
        cause = Cause(str(self.claim.run_id), self.claim.traceparent)
        ids = [InsightId(uuid4()) for _ in night.findings]
        async with self.app.tx(org) as tx:
            # Erasures take the same turn, so that none comes between the count and the commit.
            turn = await take_turn(tx, org)
            if turn.erasures != erasures:
                return False
            # Before anything else, and also where there is nothing to say any more.
            if turn.ripe and await retire(tx, org):
                return None
            if marked:
                await mark_done(tx, self.claim, org)
            recorded = Recorded()
            if night.findings:
                recorded = await record(tx, org, night.findings, ids, Run(encode, cause), replace(turn, ripe=False))
            found = {finding.fingerprint for finding in night.findings}
            withdrawn = await withdraw(tx, org, night.judged, found, cause, turn)
            await benchmarks.replace_metrics(tx, org, night.contributions)
        self.counts.update({f"insights_{name}": number for name, number in asdict(recorded).items()})
        self.counts.update({"insights_withdrawn": withdrawn, "benchmark_values": len(night.contributions)})
        self.counts.update({f"not_judged_{reason.lower()}": number for reason, number in night.skipped.items()})
        return True
