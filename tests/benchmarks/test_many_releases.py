"""Who comes and goes over a year of releases, or changes the currency, is not told apart by all of them together."""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from server.benchmarks import release
from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import INDUSTRIES, SIZES, Contribution, Earlier, Past, Sheet
from server.benchmarks.release import decide
from server.stats import membership
from server.stats.membership import tells_few
from tests.benchmarks.attacker import many
from tests.benchmarks.contributing import PAY
from tests.benchmarks.worlds import Seen, world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from server.benchmarks.model import Release
    from server.stats.membership import Members

WORLDS = 30
RELEASES = 13
EUR, USD = Sheet(PAY, "EUR"), Sheet(PAY, "USD")


def _won() -> Iterator[tuple[int, str]]:
    return ((seed, how) for seed in range(WORLDS) for how in many(world(seed, RELEASES).releases))


def test_a_year_of_releases_tells_nothing_of_one_organization_or_of_two() -> None:
    assert list(_won()) == []


def test_control_where_only_pairs_of_releases_are_looked_at_a_year_of_them_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "tells_few", lambda *_: False)
    assert any(_won())


def test_four_sets_that_differ_by_three_from_each_other_may_still_tell_one() -> None:
    """(A - B) + (A - C) - (A - D) is twice the third organization."""
    everybody = frozenset(bytes([number]) for number in range(12))
    b, c, d = (everybody - {bytes([number]) for number in gone} for gone in ((1, 2, 3), (3, 4, 5), (1, 2, 4, 5)))
    assert all(len(one ^ other) >= 3 for one, other in combinations((everybody, b, c, d), 2))
    assert not tells_few([everybody, b, c], 3)
    assert tells_few([everybody, b, c, d], 3)


def _seen(sets: list[Members]) -> Seen:
    return Seen({(number, 0): tags for number, tags in enumerate(sets)}, {}, {}, {}, {})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.frozensets(st.integers(0, 8).map(lambda number: bytes([number])), min_size=3), min_size=1, max_size=6))
def test_what_sets_tell_of_one_or_two_is_what_their_null_space_says(sets: list[Members]) -> None:
    assert tells_few(sets, 3) == any(many([_seen(sets)]))


def _paid(number: int, currency: str) -> Contribution:
    value = 50_000.0 + 1_000 * number
    return Contribution(number.to_bytes(16, "big"), PAY, value, 1.0, currency, INDUSTRIES[0].value, SIZES[0].value)


def _decided(currencies: Mapping[int, str], earlier: Earlier) -> Release:
    return decide([_paid(number, currency) for number, currency in currencies.items()], earlier, b"", metrics=[BY_NAME[PAY]])


def _after_a_change_of_currency() -> int:
    """Four leave the euro, three of them for the dollar; returns whom the two differences, converted, leave alone."""
    first = dict.fromkeys(range(20), "EUR") | dict.fromkeys(range(20, 40), "USD")
    made = _decided(first, Earlier())
    past = {sheet.sheet: [Past(sheet.members, frozenset(cell.place for cell in sheet.cells if cell.quartiles))] for sheet in made.sheets}
    then = {number: currency for number, currency in first.items() if number != 3} | dict.fromkeys(range(3), "USD")
    again = _decided(then, Earlier(1, past))
    before, after = ({sheet.sheet: sheet.members[0, 0] for sheet in each.sheets} for each in (made, again))
    assert len(before[EUR] - after[EUR]) == 4
    came = after[USD] - before[USD]
    return len((before[EUR] - after[EUR]) ^ came) if came else 0


def test_who_changes_the_currency_waits_so_that_two_currencies_do_not_tell_one_apart() -> None:
    assert _after_a_change_of_currency() == 0


def test_control_without_that_wait_the_one_who_left_alone_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "_elsewhere", lambda *_: frozenset())
    assert _after_a_change_of_currency() == 1


def _toggling(months: int) -> Seen:
    """Somebody switches its contribution off and on for months and knows its own value: the sets of the others that are left."""
    me, others = b"me", [bytes([number]) for number in range(13)]
    past: list[Mapping[tuple[int, int], Members]] = []
    for month in range(months):
        places = dict.fromkeys([*others, *([] if month % 2 else [me])], (0, 0))
        past.append(membership.admit(places, membership.Shape(1, 1), past, membership.Least(3), bytes([month])).members)
    return _seen([members[0, 0] - {me} for members in past if members[0, 0]])


def test_who_switches_off_and_on_again_for_two_years_learns_of_no_other_one() -> None:
    seen = _toggling(24)
    assert len(set(seen.members.values())) > 4
    assert list(many([seen], least=2)) == []


def test_control_where_only_pairs_of_releases_are_looked_at_switching_off_and_on_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "tells_few", lambda *_: False)
    assert list(many([_toggling(24)], least=2))


def test_a_set_that_was_too_small_to_be_shown_does_not_come_back_where_a_larger_one_was_shown() -> None:
    names = [random.Random(number).randbytes(16) for number in range(20)]
    small, large = frozenset(names[:5]), frozenset(names[:12])
    least = membership.Least(3, {(0, 0): 10})
    places = dict.fromkeys(small, (0, 0))
    made = membership.admit(places, membership.Shape(1, 1), [{(0, 0): small}, {(0, 0): large}], least, b"")
    assert made.members[0, 0] == frozenset()
