"""What the rules of the contract cannot say about a fact: real currencies, dates in order, nothing from a far future."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from unicodedata import category

from server.facts.model import Contract, ContractStatus, Employee, EmployeeExit, PayrollEntry, PerformanceReview, SpendEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from server.facts.model import Fact

CURRENCIES = frozenset(
    (
        *("AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD", "BIF", "BMD", "BND", "BOB"),
        *("BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF", "CLP", "CNY", "COP", "COU"),
        *("CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS"),
        *("GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD"),
        *("JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD"),
        *("MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO"),
        *("NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR"),
        *("SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT"),
        *("TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND"),
        *("VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG"),
    )
)
"""ISO 4217: the active codes of currencies and funds codes, without metals and test codes (list of January 2026)."""

WITHDRAWN_CURRENCIES = frozenset(
    ("ANG", "BGN", "BYR", "CUC", "EEK", "HRK", "LTL", "LVL", "MRO", "SLL", "STD", "VEF", "ZMK", "ZWL"),
)
"""Codes withdrawn since 2010: facts of those years were paid in them."""

NAMES = ("employee_key", "contract_key", "counterparty_key", "unit", "category", "cost_centre", "team")
"""What rows are found, grouped and erased by."""

UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories of characters that do not show: with one, two keys look alike, or one is read backwards."""

SPACE = " "
"""The one space that a name may have, within: others (category Zs) and those at its ends look like it or like nothing."""

KNOWN = CURRENCIES | WITHDRAWN_CURRENCIES

EXIT_AHEAD = timedelta(days=366)
PAYROLL_AHEAD = timedelta(days=366)
PLAN_AHEAD = timedelta(days=5 * 366)
TIME_ZONES = timedelta(days=1)
"""How far the caller's day may be ahead of ours."""


def problems(row: Fact, today: date) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a row: field, and how to mend it."""
    yield from _name_problems(row)
    if isinstance(row, PayrollEntry | Contract | SpendEntry) and row.currency not in KNOWN:
        yield "currency_code", "is no currency of ISO 4217; write for example EUR"
    if isinstance(row, EmployeeExit) and row.exit_date > today + EXIT_AHEAD:
        yield "exit_date", "lies more than a year ahead"
    elif isinstance(row, PayrollEntry) and row.period > today + PAYROLL_AHEAD:
        yield "period", "lies more than a year ahead"
    elif isinstance(row, Employee) and row.as_of > today + TIME_ZONES:
        yield "as_of", "lies ahead; send the state when that day has come, or give the day from which it is known"
    elif isinstance(row, PerformanceReview):
        yield from _review_problems(row, today)
    elif isinstance(row, SpendEntry):
        yield from _spend_problems(row, today)
    elif isinstance(row, Contract):
        yield from _contract_problems(row, today)


def _name_problems(row: Fact) -> Iterator[tuple[str, str]]:
    for name in NAMES:
        value: str = getattr(row, name, "")
        # All but printable characters, of which a few are allowed: asked first, for it is fast.
        if not value.isprintable():
            unseen = next((each for each in value if category(each) in UNSEEN), None)
            strange = next((each for each in value if each != SPACE and category(each) == "Zs"), None)
            if unseen is not None:
                yield name, f"has the control or invisible character U+{ord(unseen):04X}; leave it out"
            elif strange is not None:
                yield name, f"has the space-like character U+{ord(strange):04X}; write an ordinary space within, and none at an end"
        if value.startswith(SPACE) or value.endswith(SPACE):
            yield name, "begins or ends with a space; leave it out"


def _review_problems(row: PerformanceReview, today: date) -> Iterator[tuple[str, str]]:
    if row.review_date > today + TIME_ZONES:
        yield "review_date", "lies ahead; send the review when its day has come"
    for name, value in (("score", row.score), ("target", row.target)):
        if row.scale_max is not None and value is not None and value > row.scale_max:
            yield name, "is above scale_max"


def _spend_problems(row: SpendEntry, today: date) -> Iterator[tuple[str, str]]:
    if row.period > today + PLAN_AHEAD:
        yield "period", "lies more than five years ahead"
    if row.amount is None and row.budget is None:
        yield "amount", "is missing, and so is budget; one of them is needed"
    if row.amount is not None and row.period > today + TIME_ZONES:
        yield "amount", "is spent in a month that has not begun; a future month carries a budget only"


def _contract_problems(row: Contract, today: date) -> Iterator[tuple[str, str]]:
    if row.end_date is not None and row.end_date < row.start_date:
        yield "end_date", "lies before start_date"
    if row.outcome_date is not None and row.outcome_date < row.start_date:
        yield "outcome_date", "lies before start_date"
    if row.outcome_date is not None and row.outcome is None:
        yield "outcome_date", "is given without an outcome"
    if row.outcome_date is not None and row.outcome_date > today + TIME_ZONES:
        yield "outcome_date", "lies ahead; leave outcome and outcome_date out until it has come about"
    if row.outcome is not None and row.start_date > today + TIME_ZONES:
        yield "start_date", "lies ahead, and a contract that has not begun has no outcome; leave outcome out until it has"
    if row.outcome is not None and row.status is ContractStatus.DRAFT:
        yield "outcome", "belongs to a contract that was in force; the status is DRAFT"
