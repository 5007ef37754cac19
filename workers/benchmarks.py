"""Run the job `monthly_benchmarks`: read what is contributed, decide, add noise where that is switched on, publish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid5

from server.benchmarks import store as cells
from server.benchmarks.private import large_cells, with_noise
from server.benchmarks.publish import publish
from server.benchmarks.release import decide
from server.benchmarks.releases import store
from server.db.engines import DbRole
from server.errors import AnalyticsError, Kind, Reason
from server.events.model import Cause
from server.schedule.calendar import MONTHLY_BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.app import App
    from server.benchmarks.model import Contribution, Earlier, Place, Release, Sheet
    from server.schedule.model import Claim

    Progress = Callable[[float, str], None]

_ROUNDS = 5


async def update_benchmarks(app: App, claim: Claim, progress: Progress) -> Mapping[str, object]:
    """Release the benchmarks; returns what was counted, by name.

    The release's id is derived from the run's, so a run that is taken twice releases once. Who switched the contribution off
    before the release is stored is not in it: it is then decided anew. So it is when another release came first, unless that is
    this run's own, by a worker whose lease ended before it published.

    Raises:
        AnalyticsError: CONCURRENT_UPDATE, contributions were switched off, or others released, again and again.

    """
    release_id = uuid5(claim.run_id, MONTHLY_BENCHMARKS)
    paid: set[tuple[Sheet, Place]] = set()
    for _ in range(_ROUNDS):
        progress(0.0, "reading the values of contributing organizations")
        async with app.db.platform(DbRole.BENCHMARK) as tx:
            done = await store.released(tx, release_id)
            if done is not None:
                return done.totals
            kept = await store.earlier(tx)
            rows = await store.contributions(tx)
        progress(0.3, f"deciding from {len(rows):,} values")
        release, before = await asyncio.to_thread(_decided, rows, kept, release_id.bytes)
        if app.settings.benchmark_private:
            progress(0.6, "adding noise")
            release = await _private(app, release, paid)
        progress(0.9, "publishing")
        try:
            async with app.db.platform(DbRole.BENCHMARK) as tx:
                if release.tags <= await store.contributors(tx):
                    made = await publish(tx, release, release_id, before, Cause(str(claim.run_id), claim.traceparent))
                    return made.totals
        except AnalyticsError as error:
            if error.reason is not Reason.CONCURRENT_UPDATE:
                raise
    message = "contributions were switched off, or other releases came first, again and again meanwhile; run it again"
    raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, message)


def _decided(rows: Sequence[Contribution], kept: Callable[[], Earlier], salt: bytes) -> tuple[Release, Earlier]:
    before = kept()
    return decide(rows, before, salt), before


async def _private(app: App, release: Release, paid: set[tuple[Sheet, Place]]) -> Release:
    """Charge the budgets first: figures that were drawn and never published have cost too much, never too little.

    Of several draws at most one is published, so `paid`, which grows, is not charged again.
    """
    epsilon = app.settings.benchmark_epsilon
    wanted = [cell for cell in large_cells(release) if cell not in paid]
    async with app.db.platform(DbRole.BENCHMARK) as tx:
        kept = await cells.private_cells(tx)
        paid |= await store.spend(tx, wanted, epsilon, app.settings.benchmark_epsilon_per_year)
    return await asyncio.to_thread(with_noise, release, paid, kept, epsilon)
