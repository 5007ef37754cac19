"""Store what a run found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.events import store as events
from server.events.insights import InsightCreated, InsightReopened, InsightUpdated
from server.events.model import Told
from server.insights import store
from server.insights.outcome import Outcome, changed, created, worst_of_each
from server.insights.retire import retire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Tx
    from server.events.insights import InsightEvent
    from server.events.model import Cause
    from server.identity import InsightId, OrgId
    from server.insights.model import Encode, Finding, Turn
    from server.insights.outcome import Change

_TOLD: dict[Outcome, type[InsightEvent]] = {
    Outcome.CREATED: InsightCreated,
    Outcome.UPDATED: InsightUpdated,
    Outcome.REOPENED: InsightReopened,
}
"""What is told of each outcome; of the others nothing, for nobody sees a difference."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of the findings of a run; `expired` were over before they arrived and were not stored."""

    created: int = 0
    updated: int = 0
    reopened: int = 0
    unchanged: int = 0
    kept_dismissed: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Who records: how messages are made, and what the events say they come from."""

    encode: Encode
    cause: Cause


async def record(  # noqa: PLR0913 - one organization's findings, and where they are written
    tx: Tx, org: OrgId, findings: Sequence[Finding], ids: Sequence[InsightId], run: Run, turn: Turn | None = None
) -> Recorded:
    """Create, update or bring back the insights of an organization that a run found, and tell of it.

    A handful of statements, however many findings. Of several findings of one fingerprint the worst counts. To record the
    same findings again changes nothing, so a run that was interrupted is repeated as it is.

    Args:
        tx: a transaction of the organization.
        org: the organization.
        findings: what was found; a few thousand at once at most.
        ids: an unused id for each finding, taken by those that are new.
        run: who records.
        turn: of this transaction; None to take it here.

    """
    turn = turn or await store.take_turn(tx, org)
    now = turn.now
    if turn.ripe:
        await retire(tx, org)
    by_fingerprint = {finding.fingerprint: insight_id for finding, insight_id in zip(findings, ids, strict=True)}
    distinct = worst_of_each(findings)
    current = [finding for finding in distinct if finding.expires_at > now]
    before = await store.standing(tx, org, [finding.fingerprint for finding in current])
    changes = [
        changed(before[finding.fingerprint], finding, now)
        if finding.fingerprint in before
        else created(by_fingerprint[finding.fingerprint], finding, now)
        for finding in current
    ]
    await store.add(tx, org, [change for change in changes if change.outcome is Outcome.CREATED], run.encode)
    await store.change(tx, org, [change for change in changes if change.outcome is not Outcome.CREATED], run.encode)
    await events.append_all(tx, [Told(org, _event(change), run.cause) for change in changes if change.outcome in _TOLD])
    counted = Counter(change.outcome.value for change in changes)
    return Recorded(**counted, expired=len(distinct) - len(current))


def _event(change: Change) -> InsightEvent:
    insight, finding = change.insight, change.insight.finding
    return _TOLD[change.outcome](insight.insight_id, finding.category, finding.insight_type, insight.revision)
