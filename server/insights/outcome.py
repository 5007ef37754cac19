"""What a run's finding does to the insight that is stored of it: the rules, without a database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from server.insights.model import Insight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.identity import InsightId
    from server.insights.model import Finding

WORSE_BY = 0.1
"""By what share of its severity at the dismissal an insight has to grow to come back."""


class Outcome(StrEnum):
    """What became of a finding."""

    CREATED = "created"
    UPDATED = "updated"
    REOPENED = "reopened"
    UNCHANGED = "unchanged"
    KEPT_DISMISSED = "kept_dismissed"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is stored of an insight, as far as the rules ask for it."""

    insight_id: InsightId
    digest: bytes
    severity_dismissed: float | None
    dismissed: bool
    created_at: datetime
    updated_at: datetime
    reopened_at: datetime | None
    expires_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to write insights of an organization until the transaction ends.

    Args:
        now: when it was given.
        ripe: whether insights have expired that are still listed, or expired longer than `KEPT` ago.

    """

    now: datetime
    ripe: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A finding, what becomes of it, and the insight as it is then."""

    outcome: Outcome
    insight: Insight


def worse(severity: float, severity_dismissed: float) -> bool:
    """Whether a dismissed insight has grown enough to come back; a severity of any sign, larger is worse."""
    return severity > severity_dismissed + WORSE_BY * abs(severity_dismissed)


def judge(before: Standing, finding: Finding, now: datetime) -> Outcome:
    """Say what a finding does to a stored insight.

    A dismissal is about the subject and stands until it gets worse, however long it was not found meanwhile. One that had
    expired and is found again is new to everybody.
    """
    if before.dismissed:
        known_as_bad = before.severity_dismissed is not None and not worse(finding.severity, before.severity_dismissed)
        return Outcome.KEPT_DISMISSED if known_as_bad else Outcome.REOPENED
    if before.expires_at <= now:
        return Outcome.REOPENED
    return Outcome.UNCHANGED if before.digest == finding.digest else Outcome.UPDATED


def created(insight_id: InsightId, finding: Finding, now: datetime) -> Change:
    """Return the first finding of a subject as an insight."""
    return Change(Outcome.CREATED, Insight(insight_id, finding, now, now, None, 1))


def changed(before: Standing, finding: Finding, now: datetime) -> Change:
    """Return what a stored insight becomes; its revision grows with what it says, and when it comes back."""
    outcome = judge(before, finding, now)
    grows = outcome is Outcome.REOPENED or before.digest != finding.digest
    after = Insight(
        before.insight_id,
        finding,
        before.created_at,
        now if grows else before.updated_at,
        now if outcome is Outcome.REOPENED else before.reopened_at,
        before.revision + grows,
    )
    return Change(outcome, after)


def worst_of_each(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return one finding per fingerprint: of several about the same subject the one of the largest severity, the first of equals."""
    kept: dict[bytes, Finding] = {}
    for finding in findings:
        other = kept.get(finding.fingerprint)
        if other is None or finding.severity > other.severity:
            kept[finding.fingerprint] = finding
    return list(kept.values())
