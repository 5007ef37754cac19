"""Walking pages up to a limit, and the filters of list commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from server.ctl.failures import BadInput
from server.ctl.values import Unreadable, choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import EnumDescriptor

PAGE = 50
_LARGEST_PAGE = 1000

ItemT = TypeVar("ItemT")


def all_pages(page: Callable[[int, str], tuple[list[ItemT], str]], limit: int) -> list[ItemT]:
    """Items of as many pages as it takes; `page` gets a size and a token and answers items and the next token.

    `limit` 0 means all.
    """
    items: list[ItemT] = []
    token = ""
    while True:
        missing = limit - len(items) if limit else _LARGEST_PAGE
        found, token = page(min(missing, _LARGEST_PAGE), token)
        items += found
        if not token or (limit and len(items) >= limit):
            return items[:limit] if limit else items


def enum_filter(enum: EnumDescriptor, option: str, text: str) -> int:
    """The enum number of a filter; 0 (no filter) when it was not given.

    Raises:
        BadInput: no value is called that.

    """
    if not text:
        return 0
    try:
        return choice(enum, text)
    except Unreadable as error:
        msg = f"{option} {error}"
        raise BadInput(msg) from None
