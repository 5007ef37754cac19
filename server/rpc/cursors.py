"""Cursors of event streams: a place in an organization's sequence that nobody can forge or carry to another organization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.errors import AnalyticsError, FieldViolation, Kind, Reason
from server.rpc.pages import bound_to, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.identity import OrgId
    from server.settings import Settings

_PURPOSE = "event cursor v1"


@dataclass(frozen=True, slots=True)
class Cursors:
    """Seals and opens the cursors of one organization."""

    _keys: Sequence[bytes]
    _binding: bytes

    @classmethod
    def of(cls, settings: Settings, org: OrgId) -> Cursors:
        """Return those of `org`; filters are not part of what a cursor is bound to, they may change."""
        return cls(*bound_to(settings, org, _PURPOSE))

    def seal(self, sequence: int) -> str:
        """Return the cursor after an event."""
        return seal(self._keys, self._binding, (sequence, ""))

    def open(self, cursor: str) -> int:
        """Return the sequence after which a stream goes on.

        Raises:
            AnalyticsError: CURSOR_INVALID, it is damaged, forged or of another organization.

        """
        try:
            sequence, _ = unseal(self._keys, self._binding, cursor)
        except AnalyticsError:
            text = "is damaged, or belongs to another organization; start again without one"
            raise cursor_invalid(text) from None
        return sequence


def cursor_invalid(text: str) -> AnalyticsError:
    """CURSOR_INVALID, with what is wrong with it."""
    return AnalyticsError(Kind.INVALID_ARGUMENT, Reason.CURSOR_INVALID, f"cursor: {text}", violations=[FieldViolation("cursor", text)])
