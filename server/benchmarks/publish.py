"""Publish a release: its members, its cells and the news of it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.benchmarks.model import Released
from server.benchmarks.releases import store
from server.errors import AnalyticsError, Kind, Reason
from server.events import store as events
from server.events.benchmarks import BenchmarkUpdated

if TYPE_CHECKING:
    from uuid import UUID

    from server.benchmarks.model import Earlier, Release
    from server.db import Tx
    from server.events.model import Cause


async def publish(tx: Tx, release: Release, release_id: UUID, before: Earlier, cause: Cause) -> Released:
    """Store a release that was decided from `before`, and tell every organization of it.

    Raises:
        AnalyticsError: CONCURRENT_UPDATE, another release came first and this one was decided without knowing of it.

    """
    made = Released(release_id, before.number + 1, release.totals())
    if not await store.add_release(tx, made, release.sheets, before):
        raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another release of the benchmarks came first; run it again")
    await store.put_cells(tx, release.sheets)
    await events.append_shared(tx, BenchmarkUpdated(made.number, made.totals["cells_released"], made.totals["cells_withheld"]), cause)
    return made
