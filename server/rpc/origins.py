"""Whose act a call is, for the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from server.audit.model import Origin

if TYPE_CHECKING:
    from server.rpc.call import Call


def origin(call: Call) -> Origin:
    """Return the organization, the user and the request of a call."""
    return Origin(call.caller.org, call.caller.user_id, call.request_id)


def uuid(text: str) -> UUID:
    """Return an id that validation has found to be one."""
    return UUID(text)
