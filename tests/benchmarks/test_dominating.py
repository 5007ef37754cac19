"""Who outweighs all others is left out, so that the others keep their cells; and leaving it out tells nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from server.benchmarks import release
from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import INDUSTRIES, SIZES, Contribution, Earlier, Past
from server.benchmarks.release import decide, outweighed
from server.stats.disclosure import RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from server.benchmarks.model import Place, SheetRelease

METRIC = BY_NAME["average_contract_value"]
HUGE = 9e14
USUAL = 250_000.0


def _row(number: int, value: float) -> Contribution:
    """The first forty are in two sizes of one industry, the others in the same sizes of another."""
    industry, size = INDUSTRIES[number // 40], SIZES[number % 2]
    return Contribution(number.to_bytes(16, "big"), METRIC.name, value, value, "EUR", industry.value, size.value)


def _rows(values: Sequence[float]) -> list[Contribution]:
    return [_row(number, value) for number, value in enumerate(values)]


def _decided(values: Sequence[float], before: SheetRelease | None = None) -> tuple[SheetRelease, int]:
    past = {before.sheet: [Past(before.members, frozenset(_shown(before)))]} if before else {}
    made = decide(_rows(values), Earlier(len(past), past), b"salt", metrics=[METRIC])
    (sheet,) = made.sheets
    return sheet, made.skipped["dominating"]


def _shown(sheet: SheetRelease) -> set[Place]:
    return {cell.place for cell in sheet.cells if cell.quartiles}


def test_one_organization_with_a_huge_contract_takes_no_cell_from_the_others() -> None:
    first, skipped = _decided([USUAL] * 80)
    assert (len(_shown(first)), skipped) == (9, 0)
    for value in (HUGE, 1e9, 80 * USUAL):
        again, skipped = _decided([value, *[USUAL] * 79], first)
        assert (_shown(again), skipped) == (_shown(first), 1)


def test_control_with_the_one_that_outweighs_all_its_cells_and_the_whole_are_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = _decided([USUAL] * 80)
    monkeypatch.setattr(release, "outweighed", lambda rows, _rules: rows)
    again, _ = _decided([HUGE, *[USUAL] * 79], first)
    assert len(_shown(first) - _shown(again)) >= 4


def test_who_is_left_out_for_its_weight_is_covered_by_two_who_stay_out_as_anybody_who_leaves() -> None:
    first, _ = _decided([USUAL] * 80)
    again, _ = _decided([HUGE, *[USUAL] * 79], first)
    gone = first.members[0, 0] - again.members[0, 0]
    assert _row(0, 0.0).tag in gone
    assert len(gone) == 3
    assert all(first.members[unit] == again.members[unit] for unit in first.members if unit != (0, 0))


@given(st.lists(st.floats(1e-3, 1e15) | st.sampled_from([1.0, 1e6, 1e15]), max_size=40))
def test_of_those_who_stay_none_outweighs_the_others_and_nobody_goes_where_too_few_would_stay(weights: list[float]) -> None:
    rows = {row.tag: row for row in _rows(weights)}
    stay = outweighed(rows, RULES)
    left = [row.weight for row in stay.values()]
    gone = [row.weight for tag, row in rows.items() if tag not in stay]
    if gone:
        assert len(left) >= RULES.organizations
        assert max(left) <= RULES.largest_share * sum(left) * (1 + 1e-9)
        assert min(gone) > max(left)
        # The lightest of those who went had too much beside those who stay.
        assert min(gone) > RULES.largest_share * (min(gone) + sum(left)) * (1 - 1e-9)
    elif len(left) >= RULES.organizations + 4 and max(left) > RULES.largest_share * sum(left):
        # Nobody went though one dominates: so many would have to go that no cell is left.
        ranked = sorted(left)
        enough = ranked[: RULES.organizations]
        assert max(enough) > RULES.largest_share * sum(enough) * (1 - 1e-9)
