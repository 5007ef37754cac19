from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from server.insights import wording


def test_figures_are_written_as_people_read_them() -> None:
    assert wording.money(1_234_567.4, "EUR") == "EUR 1,234,567"
    assert (wording.money(12.5, "USD"), wording.money(-0.001, "USD"), wording.money(-2500, "CHF")) == (
        "USD 12.50",
        "USD 0.00",
        "CHF -2,500",
    )
    assert (wording.percent(0.1234), wording.percent(0.5), wording.percent(-0.0001), wording.percent(12)) == (
        "12.3%",
        "50%",
        "0%",
        "1,200%",
    )
    assert (wording.number(1234.56), wording.number(3.0), wording.number(200, 0), wording.number(-0.01)) == ("1,234.6", "3", "200", "0")
    assert (wording.day(date(2026, 3, 31)), wording.month(2026 * 12 + 2), wording.iso_month(2026 * 12)) == (
        "31 March 2026",
        "March 2026",
        "2026-01",
    )
    assert (wording.count(1, "employee"), wording.count(1200, "employee"), wording.count(2, "person", "people")) == (
        "1 employee",
        "1,200 employees",
        "2 people",
    )
    assert [wording.in_days(days) for days in (0, 1, 12)] == ["today", "tomorrow", "in 12 days"]
    assert [wording.listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_a_name_from_outside_stays_one_short_line() -> None:
    assert wording.name("  Sales\n\tNorth\u202e\x00 ") == "Sales North"
    assert wording.name("x" * 300) == "x" * 77 + "..."


@given(st.text())
def test_any_name_is_one_line_of_bounded_length(text: str) -> None:
    shown = wording.name(text)
    assert len(shown) <= 80
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(st.floats(-1e15, 1e15))
def test_any_amount_is_read_back_to_within_half_of_its_last_digit(amount: float) -> None:
    text = wording.money(amount, "EUR").removeprefix("EUR ").replace(",", "")
    assert abs(float(text) - amount) <= (0.5 if abs(amount) >= 1000 else 0.005) * 1.0001 + 1e-9 * abs(amount)
    assert "e" not in text
    assert not text.startswith("-0.00")
