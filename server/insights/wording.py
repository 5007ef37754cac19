"""Figures and lists as a manager reads them.

What always holds: the same figure gives the same text on every machine (no locale), a figure that is not finite is refused
before it gets here, and a name from outside is one line of bounded length without control characters.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_LONGEST_NAME = 80
_WHOLE_FROM = 1000.0
_TENTHS_BELOW = 0.1


def money(amount: float, currency: str) -> str:
    """`EUR 1,234,567`; with two decimals below 1,000, without a sign for a zero."""
    digits = 0 if abs(amount) >= _WHOLE_FROM else 2
    text = f"{round(amount, digits) + 0.0:,.{digits}f}"
    return f"{currency} {text}"


def percent(share: float) -> str:
    """`12.3%` of a share of 0.123; one decimal below 10 % and where there is one to show, none for whole numbers."""
    text = f"{round(100 * share, 1) + 0.0:,.1f}"
    return f"{text.removesuffix('.0')}%"


def number(value: float, digits: int = 1) -> str:
    """`1,234.5`, or `1,234` when nothing is lost."""
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def day(date_: date) -> str:
    """`31 March 2026`."""
    return f"{date_.day} {_MONTHS[date_.month - 1]} {date_.year}"


def month(number_: int) -> str:
    """`March 2026`, of a month's number (year x 12 + month - 1)."""
    return f"{_MONTHS[number_ % 12]} {number_ // 12}"


def iso_month(number_: int) -> str:
    """`2026-03`, of a month's number."""
    return f"{number_ // 12:04d}-{number_ % 12 + 1:02d}"


def count(how_many: int, one: str, many: str = "") -> str:
    """`1 employee`, `12 employees`; `many` when an s does not do."""
    return f"{how_many:,} {one if how_many == 1 else many or one + 's'}"


def in_days(days: int) -> str:
    """`today`, `tomorrow` or `in 12 days`."""
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days:,} days")


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def name(text: str) -> str:
    """A name from outside for a sentence: one line, no control characters, at most 80 characters."""
    shown = "".join(" " if unicodedata.category(character) in _UNSEEN else character for character in text)
    line = " ".join(shown.split())
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 3].rstrip()}..."


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
