"""What makes two requests the same: SHA-256 of their canonical JSON (RFC 8785).

Never of the protobuf bytes, which are not canonical: maps have no order, and unknown fields come along.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import rfc8785
from google.protobuf.json_format import MessageToDict, SerializeToJsonError

from server.errors import AnalyticsError, Kind, Reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.protobuf.message import Message

_KEY = frozenset({"request_id"})


def request_hash(message: Message, without: Collection[str] = _KEY) -> bytes:
    """Hash a request, leaving out the top-level fields `without`.

    Returns:
        32 bytes; equal requests have equal hashes, whatever the order of their map entries.

    Raises:
        AnalyticsError: VALIDATION_FAILED, a value has no JSON form (NaN in a Struct, a Timestamp outside years 1 to 9999).

    """
    try:
        content = MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    except (SerializeToJsonError, ValueError) as error:
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT, Reason.VALIDATION_FAILED, "a number is not finite or a time is not between the years 1 and 9999"
        ) from error
    for field in without:
        content.pop(field, None)
    return hashlib.sha256(rfc8785.dumps(content)).digest()
