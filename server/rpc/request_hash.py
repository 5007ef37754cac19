"""What makes two requests the same: SHA-256 of their canonical JSON (RFC 8785).

Never of the protobuf bytes, which are not canonical: maps have no order, and unknown fields come along.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import rfc8785
from google.protobuf.json_format import MessageToDict, SerializeToJsonError

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.protobuf.message import Message

_KEY = frozenset({"request_id"})
_NO_JSON = b"no JSON form"


def request_hash(message: Message, without: Collection[str] = _KEY) -> bytes:
    """Hash a request, leaving out the top-level fields `without`.

    Returns:
        32 bytes; equal requests have equal hashes, whatever the order of their map entries.

    """
    try:
        content = MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    except (SerializeToJsonError, ValueError):
        # A number that is not finite, a time outside the years 1 to 9999: no JSON form, and refused item by item later on.
        return hashlib.sha256(_NO_JSON + message.SerializeToString(deterministic=True)).digest()
    for field in without:
        content.pop(field, None)
    return hashlib.sha256(rfc8785.dumps(content)).digest()
