"""What one transaction may still queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.errors import AnalyticsError, Kind, Quota, Reason
from server.predictions.backlog import store

if TYPE_CHECKING:
    from server.db import Tx
    from server.identity import OrgId
    from server.settings import Settings

_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Caps:
    """Most waiting jobs: of one organization, and over all organizations."""

    per_org: int
    in_all: int

    def org_is_full(self, org: OrgId) -> AnalyticsError:
        """Return the refusal by the cap of one organization."""
        return _full(
            "prediction_backlog_per_org",
            f"{self.per_org} predictions of the organization wait already; retry when some have ended",
            Quota(f"org:{org}", f"at most {self.per_org} waiting predictions per organization"),
        )

    def service_is_full(self) -> AnalyticsError:
        """Return the refusal by the cap over all organizations."""
        return _full(
            "prediction_backlog_in_all",
            f"{self.in_all} predictions of all organizations wait already; retry later",
            Quota("service", f"at most {self.in_all} waiting predictions over all organizations"),
        )


class Room:
    """Asked for once per transaction, when the first job is to be queued; duplicates never ask."""

    def __init__(self, caps: Caps, wanted: int = 1) -> None:
        """Leave room for at most `wanted` jobs, 1 to `store.MOST_AT_ONCE`."""
        self._caps = caps
        self._wanted = wanted
        self._left: store.Left | None = None
        self._taken = 0

    async def check(self, tx: Tx, org: OrgId) -> None:
        """Make sure that one more job may be queued.

        Raises:
            AnalyticsError: PREDICTION_QUEUE_FULL; the quota and the metadata name the cap.

        """
        if self._left is None:
            self._left = await store.left(tx, org, self._caps.per_org, self._caps.in_all, self._wanted)
        if self._taken >= self._left.in_org:
            raise self._caps.org_is_full(org)
        if self._taken >= self._left.in_all:
            raise self._caps.service_is_full()

    def take(self) -> None:
        """Count a job that was queued."""
        self._taken += 1


def caps(settings: Settings) -> Caps:
    """Read the caps."""
    return Caps(settings.prediction_backlog_per_org, settings.prediction_backlog_in_all)


def _full(cap: str, message: str, quota: Quota) -> AnalyticsError:
    return AnalyticsError(
        Kind.RESOURCE_EXHAUSTED,
        Reason.PREDICTION_QUEUE_FULL,
        message,
        quota=quota,
        retry_after=_RETRY_SECONDS,
        metadata={"limit": cap},
    )
