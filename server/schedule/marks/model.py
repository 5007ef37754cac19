"""Outcomes per organization."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.identity import OrgId


class Outcome(StrEnum):
    """What a run came to for one organization."""

    DONE = "DONE"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Entry:
    """A mark to be written; `reason` is a fixed word of the job (`NO_FACTS`), empty when done, never data of the tenant."""

    org: OrgId
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark as it is stored."""

    entry: Entry
    at: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """A page of organizations: those without a mark, how many there were in all, and the last one, None at the end."""

    orgs: Sequence[OrgId]
    known: int
    last: OrgId | None
