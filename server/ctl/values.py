"""Text typed by people -> values of the contract's fields.

What always holds: a text that cannot be read raises `Unreadable` with what is allowed, and never becomes a wrong value.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import EnumDescriptor

Value: TypeAlias = str | float | int | bool | datetime.date

_ABSENT = frozenset({"na", "n/a", "null"})
_TRUE = frozenset({"yes", "y", "true", "t", "1", "on"})
_FALSE = frozenset({"no", "n", "false", "f", "0", "off"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d{2})(-\d{2})?", re.ASCII)
_DIGITS, _DECIMALS = 15, 4
_INT32 = 2**31
_FIRST_YEAR, _LAST_YEAR = 1950, 2100
_SHOWN = 40

# Words for enum values that the names of the contract do not contain.
_OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "BUSINESS_TRAVEL_NONE": ("nontravel", "notravel", "never", "no"),
    "BUSINESS_TRAVEL_RARELY": ("rare", "sometimes"),
    "BUSINESS_TRAVEL_FREQUENTLY": ("frequent", "travelfrequent", "often"),
}


class Unreadable(Exception):
    """A text is no value of its field; the text of the exception says what is allowed."""


class FieldKind(Enum):
    """How the text of a field is read."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "yes or no"
    CHOICE = "choice"
    DATE = "date"
    MONTH = "month"
    AMOUNT = "decimal number"
    SIGNED_AMOUNT = "decimal number, also negative"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field a person can give.

    `inside` is the message in the row that has the field, for example `attributes`; empty for the row itself. `choices`
    maps each normalized spelling to the enum number; `labels` are the spellings that are offered in messages. A row
    without a value of a `required` field is bad.
    """

    name: str
    kind: FieldKind
    inside: str = ""
    required: bool = False
    choices: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def normalized(text: str) -> str:
    """Letters and digits only, lower case: `MonthlyIncome` and `monthly_income` are the same word."""
    return "".join(character for character in text.lower() if character.isalnum())


def shown(text: str) -> str:
    """A value in a message: quoted, control characters escaped, at most 40 characters."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def short_names(enum: EnumDescriptor) -> dict[int, str]:
    """Number -> name without the enum's prefix, lower case: `turnover_prediction`."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
    return {value.number: value.name.removeprefix(prefix).lower() for value in enum.values}


def named(enum: EnumDescriptor, number: int) -> str:
    """The short name of an enum value; its number when this client is older than the server."""
    return short_names(enum).get(number, str(number))


def spellings(enum: EnumDescriptor) -> dict[str, int]:
    """Every normalized spelling that names one value: its full name, parts of it that name it alone, other words.

    For example `business_travel_rarely`, `travel_rarely` and `rarely`; `turnover_prediction` and `turnover`.
    """
    found: dict[str, set[int]] = {}
    names = short_names(enum)
    for value in enum.values:
        if value.number == 0:
            continue
        own = names[value.number].split("_")
        prefix = value.name.lower().split("_")[: -len(own)]
        words = [*(prefix[start:] + own for start in range(len(prefix) + 1)), *(own[:end] for end in range(1, len(own)))]
        for word in (*("".join(parts) for parts in words), *_OTHER_WORDS.get(value.name, ())):
            found.setdefault(word, set()).add(value.number)
    return {word: numbers.pop() for word, numbers in found.items() if len(numbers) == 1}


def choice(enum: EnumDescriptor, text: str) -> int:
    """The number of the enum value a person means.

    Raises:
        Unreadable: no value, or more than one, is called that.

    """
    number = spellings(enum).get(normalized(text))
    if number is None:
        labels = [name for value, name in sorted(short_names(enum).items()) if value != 0]
        msg = f"{shown(text)} is none of {', '.join(labels)}"
        raise Unreadable(msg)
    return number


def read(spec: FieldSpec, text: str) -> Value | None:  # noqa: PLR0911 - one return per kind
    """The value of a text; None when it says that there is none (empty, NA, N/A, null; for free text only empty).

    Raises:
        Unreadable: the text is no value of this kind.

    """
    text = text.strip()
    if not text:
        return None
    if spec.kind is FieldKind.TEXT:
        return text
    lowered = text.lower()
    if lowered in _ABSENT:
        return None
    if spec.kind is FieldKind.NUMBER:
        return _number(text)
    if spec.kind is FieldKind.INTEGER:
        return _integer(text)
    if spec.kind is FieldKind.FLAG:
        return _flag(text, lowered)
    if spec.kind is FieldKind.CHOICE:
        return _choice(spec, text)
    if spec.kind in (FieldKind.AMOUNT, FieldKind.SIGNED_AMOUNT):
        return _amount(text, signed=spec.kind is FieldKind.SIGNED_AMOUNT)
    return _month(text) if spec.kind is FieldKind.MONTH else _date(text)


def _number(text: str) -> float:
    value = float(_plain(text))
    if not math.isfinite(value):
        msg = f"{shown(text)} is too large"
        raise Unreadable(msg)
    return value


def _plain(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        advice = "; write it without thousands separators and with a decimal point" if "," in text else ""
        msg = f"{shown(text)} is not a number{advice}"
        raise Unreadable(msg)
    return text


def _amount(text: str, *, signed: bool) -> str:
    """The contract's own writing of a decimal number; nothing is rounded, for a wrong cent is a wrong value."""
    try:
        value = Decimal(_plain(text))
    except InvalidOperation:
        # An exponent of twenty digits.
        msg = f"{shown(text)} is not an amount"
        raise Unreadable(msg) from None
    if not value:
        return "0"
    if value < 0 and not signed:
        msg = f"{shown(text)} is negative"
        raise Unreadable(msg)
    # Looked at before it is written out: 1e999999 would take a million digits.
    if value.adjusted() >= _DIGITS:
        msg = f"{shown(text)} has more than {_DIGITS} digits before the point"
        raise Unreadable(msg)
    whole, _, decimals = ("" if value.adjusted() < -_DECIMALS else f"{value:f}").partition(".")
    decimals = decimals.rstrip("0")
    if len(decimals) > _DECIMALS or not whole:
        msg = f"{shown(text)} has more than {_DECIMALS} digits after the point"
        raise Unreadable(msg)
    return f"{whole}.{decimals}" if decimals else whole


def _integer(text: str) -> int:
    value = _number(text)
    if not value.is_integer():
        msg = f"{shown(text)} is not a whole number"
        raise Unreadable(msg)
    if not -_INT32 <= value < _INT32:
        msg = f"{shown(text)} is too large"
        raise Unreadable(msg)
    return int(value)


def _flag(text: str, lowered: str) -> bool:
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    msg = f"{shown(text)} is neither yes nor no (yes, true, 1; no, false, 0)"
    raise Unreadable(msg)


def _choice(spec: FieldSpec, text: str) -> int:
    number = spec.choices.get(normalized(text))
    if number is None:
        msg = f"{shown(text)} is none of {', '.join(spec.labels)}"
        raise Unreadable(msg)
    return number


def _date(text: str) -> datetime.date:
    match = _DATE.fullmatch(text)
    if match is None:
        msg = f"{shown(text)} is not a date of the form 2026-01-31"
        raise Unreadable(msg)
    return _calendar(text, int(match[1]), int(match[2]), int(match[3]))


def _month(text: str) -> datetime.date:
    """The first day of the month of `2026-01` or of a day in it."""
    match = _MONTH.fullmatch(text)
    if match is None:
        msg = f"{shown(text)} is not a month of the form 2026-01, nor a day in it"
        raise Unreadable(msg)
    return (_date(text) if match[3] else _calendar(text, int(match[1]), int(match[2]), 1)).replace(day=1)


def _calendar(text: str, year: int, month: int, day: int) -> datetime.date:
    try:
        value = datetime.date(year, month, day)
    except ValueError:
        msg = f"{shown(text)} is not in the calendar"
        raise Unreadable(msg) from None
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        msg = f"{shown(text)} is not between {_FIRST_YEAR}-01-01 and {_LAST_YEAR}-12-31"
        raise Unreadable(msg)
    return value
