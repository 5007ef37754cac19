"""What an audit entry is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from server.identity import OrgId, RequestId, UserId


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose act it is: known at the edge and handed to every use case that audits.

    An act that an event asked for has the event's own correlation id, if it has one, and its id as what caused it; the audit
    log keeps the request.
    """

    org: OrgId
    actor: UserId
    request_id: RequestId
    correlation_id: str = ""
    causation_id: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """What was done to what; `details` never holds an input value."""

    action: str
    resource_type: str
    resource_id: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored act."""

    entry_id: UUID
    at: datetime
    actor: UserId
    request_id: RequestId
    act: Act
