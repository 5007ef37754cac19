"""Every value is counted once in the result of a run: as one that counts, or by the reason that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.benchmarks.model import INDUSTRIES, SIZES, Contribution, Earlier, Past, Sheet
from server.benchmarks.release import decide
from tests.benchmarks.contributing import PAY, TURNOVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from server.benchmarks.model import Release

CONTRIBUTED = st.tuples(
    st.sampled_from([(TURNOVER, ""), (TURNOVER, ""), (PAY, "EUR"), (PAY, "USD"), (PAY, ""), (TURNOVER, "EUR"), ("unknown", "")]),
    st.sampled_from(["", INDUSTRIES[0].value, INDUSTRIES[0].value, INDUSTRIES[1].value]),
    st.sampled_from(["", SIZES[0].value, SIZES[0].value]),
    st.sampled_from([0.0, 1.0, 1.0, 1e6]),
)
WORLD = st.dictionaries(st.integers(0, 40), CONTRIBUTED)


def _rows(world: Mapping[int, tuple[tuple[str, str], str, str, float]]) -> list[Contribution]:
    return [
        Contribution(number.to_bytes(16, "big"), metric, 0.1 + number / 100, weight, currency, industry, size)
        for number, ((metric, currency), industry, size, weight) in world.items()
    ]


def _decided(worlds: Iterable[Sequence[Contribution]]) -> Iterable[tuple[int, Release]]:
    past: dict[Sheet, list[Past]] = {}
    for number, rows in enumerate(worlds):
        made = decide(rows, Earlier(number, past), bytes([number]))
        yield len(rows), made
        for sheet in made.sheets:
            past.setdefault(sheet.sheet, []).append(Past(sheet.members, frozenset(cell.place for cell in sheet.cells if cell.quartiles)))


@given(st.lists(WORLD, min_size=1, max_size=3))
def test_every_value_of_every_release_is_counted_once_however_few_there_are(
    worlds: list[Mapping[int, tuple[tuple[str, str], str, str, float]]],
) -> None:
    for number, made in _decided(map(_rows, worlds)):
        assert made.counted + sum(made.skipped.values()) == number


@pytest.mark.parametrize(
    ("metric", "currency", "expected"), [(TURNOVER, "", (5, {})), (PAY, "EUR", (0, {"rare_currency": 5}))], ids=["share", "money"]
)
def test_values_of_five_organizations_wait_only_where_their_currency_is_rare(
    metric: str, currency: str, expected: tuple[int, Mapping[str, int]]
) -> None:
    world = dict.fromkeys(range(5), ((metric, currency), INDUSTRIES[0].value, SIZES[0].value, 1.0))
    ((_, made),) = _decided([_rows(world)])
    assert (made.counted, made.skipped) == expected
