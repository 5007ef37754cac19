"""Pages of lists: sizes, and tokens that nobody can forge or carry elsewhere.

A token is the cursor (instant and id of the last row shown) under an HMAC-SHA-256 over the organization, the RPC, the
filters and the cursor. It is valid for exactly that organization, RPC and filters. HMAC and not encryption: the cursor
stands in the page itself, and random nonces of AES-GCM would bound how many tokens a key may make.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import Message

from server.errors import AnalyticsError, FieldViolation, Kind, Reason
from server.rpc.request_hash import request_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.identity import OrgId
    from server.rpc.call import Call
    from server.settings import Settings

Cursor: TypeAlias = tuple[datetime, UUID]

DEFAULT_SIZE = 50
MAX_SIZE = 1_000
_MAC_BYTES = 16
_NOT_FILTERS = frozenset({"page_size", "page_token", "request_id"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Row = TypeVar("Row")


class Paged(Protocol):
    """A request of a list."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows the caller asked for: `size` of them, strictly after (below) the cursor `before`."""

    size: int
    before: Cursor | None
    _keys: Sequence[bytes]
    _binding: bytes

    def cut(self, rows: Sequence[Row], cursor: Callable[[Row], Cursor]) -> tuple[Sequence[Row], str]:
        """Return the rows to show and the token of the next page.

        Args:
            rows: up to `size + 1` rows; the one more only says that there is a next page.
            cursor: instant and id of a row, by which the list is ordered.

        """
        if len(rows) <= self.size:
            return rows, ""
        shown = rows[: self.size]
        return shown, encode(self._keys, self._binding, cursor(shown[-1]))


def page_of(settings: Settings, call: Call, request: Paged) -> Page:
    """Read size and token of a request.

    Raises:
        AnalyticsError: PAGE_TOKEN_INVALID, the token is damaged, forged, or of another organization, RPC or filter.

    """
    keys, binding = bound(settings, call, request)
    before = decode(keys, binding, request.page_token) if request.page_token else None
    return Page(page_size(request.page_size), before, keys, binding)


def bound(settings: Settings, call: Call, request: Paged) -> tuple[Sequence[bytes], bytes]:
    """Return the keys that seal tokens, and what the tokens of this organization, RPC and filters are bound to."""
    if not isinstance(request, Message):
        msg = "a request is a protobuf message"
        raise TypeError(msg)
    return _sealing(settings), _binding(call.caller.org_id or "", call.method, request_hash(request, _NOT_FILTERS))


def bound_to(settings: Settings, org: OrgId, purpose: str) -> tuple[Sequence[bytes], bytes]:
    """Return the keys that seal tokens, and what tokens of this organization and purpose are bound to; no RPC is called like one."""
    return _sealing(settings), _binding(org, purpose, b"")


def page_size(asked: int) -> int:
    """0 means 50, more than 1000 means 1000."""
    return min(asked, MAX_SIZE) if asked > 0 else DEFAULT_SIZE


def encode(keys: Sequence[bytes], binding: bytes, cursor: Cursor) -> str:
    """Seal a cursor with the first key; at most 1024 characters."""
    at, row_id = cursor
    return seal(keys, binding, ((at - _EPOCH) // _MICROSECOND, row_id.hex))


def decode(keys: Sequence[bytes], binding: bytes, token: str) -> Cursor:
    """Open a token that was sealed with any of the keys.

    Raises:
        AnalyticsError: PAGE_TOKEN_INVALID.

    """
    microseconds, row_id = unseal(keys, binding, token)
    return _EPOCH + microseconds * _MICROSECOND, UUID(hex=row_id)


def seal(keys: Sequence[bytes], binding: bytes, cursor: tuple[int, str]) -> str:
    """Make a token of a number and a text, with the first key."""
    content = json.dumps(cursor, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(keys[0], binding, content) + content).decode().rstrip("=")


def unseal(keys: Sequence[bytes], binding: bytes, token: str) -> tuple[int, str]:
    """Return the number and the text of a token that was sealed with any of the keys.

    Raises:
        AnalyticsError: PAGE_TOKEN_INVALID.

    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not any(hmac.compare_digest(mac, _mac(key, binding, content)) for key in keys):
        raise _invalid()
    number, text = json.loads(content)
    return number, text


def _mac(key: bytes, binding: bytes, content: bytes) -> bytes:
    return hmac.digest(key, binding + content, "sha256")[:_MAC_BYTES]


def _binding(org: str, method: str, filters: bytes) -> bytes:
    """32 bytes that stand for the three; hashed, so that no part can run over into the next."""
    return hashlib.sha256(json.dumps([org, method]).encode() + filters).digest()


def _sealing(settings: Settings) -> Sequence[bytes]:
    return _keys(settings.secret_key.get_secret_value(), settings.previous_secret_key.get_secret_value())


@functools.lru_cache(maxsize=8)
def _keys(*secrets: str) -> tuple[bytes, ...]:
    """Derive one key per secret (HKDF, RFC 5869), apart from the keys that seal prediction inputs."""
    return tuple(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=b"analytics page token v1").derive(base64.b64decode(secret))
        for secret in secrets
        if secret
    )


def _invalid() -> AnalyticsError:
    text = "is damaged, or belongs to another list, organization or filter; start again from the first page"
    return AnalyticsError(
        Kind.INVALID_ARGUMENT, Reason.PAGE_TOKEN_INVALID, f"page_token: {text}", violations=[FieldViolation("page_token", text)]
    )
