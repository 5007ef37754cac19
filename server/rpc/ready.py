"""Answers that are serialized already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, slots=True)
class Ready(Generic[Response]):
    """The bytes of a response message, from a handler that had no need to build it; the type says of which.

    A test holds that they parse to what the same rows would be as a message.
    """

    content: bytes
