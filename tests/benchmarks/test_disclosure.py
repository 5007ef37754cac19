"""The parts of disclosure control one by one: what shown cells tell apart, who counts, and the public grid."""

from __future__ import annotations

import random
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.benchmarks.catalogue import BY_NAME, METRICS
from server.benchmarks.model import Earlier
from server.benchmarks.release import decide
from server.stats.disclosure import WHOLE, Rules, Sizes, Verdict, cells, judge, opened, units
from server.stats.membership import FEW, MOVED, Least, Shape, admit
from server.stats.quartiles import SHARES, Grid, quartiles
from server.stats.two_releases import Figures, opens
from tests.benchmarks.worlds import METRIC, SHEET, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.stats.membership import Members, Unit

SHAPE = Shape(3, 3)
LEAST = Least(3)


def sizes(table: dict[tuple[int, int], int]) -> Sizes:
    """Units of organizations of equal weight."""
    made = Sizes(np.zeros((4, 4), dtype=np.int64), np.zeros((4, 4)), np.zeros((4, 4)))
    for unit, count in table.items():
        made.organizations[unit], made.largest[unit], made.total[unit] = count, float(count > 0), float(count)
    return made


def told(shown: set[tuple[int | None, int | None]], table: dict[tuple[int, int], int], small: int) -> bool:
    """Whether a set of fewer than `small` is in the span of the shown cells: every union of units is tried."""
    there = [unit for unit, count in table.items() if count]
    rows = np.array([[unit in units(cell, SHAPE) for unit in there] for cell in shown], dtype=float).reshape(len(shown), len(there))
    rank = np.linalg.matrix_rank(rows) if len(shown) else 0
    for count in range(1, len(there) + 1):
        for chosen in combinations(range(len(there)), count):
            if sum(table[there[each]] for each in chosen) < small:
                wanted = np.isin(np.arange(len(there)), chosen).astype(float)
                if len(shown) and np.linalg.matrix_rank(np.vstack([rows, wanted])) == rank:
                    return True
    return False


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.sampled_from([0, 3, 5, 9, 10, 12]), min_size=9, max_size=9),
    pooled=st.lists(st.sampled_from([0, 0, 4]), min_size=4, max_size=4),
    picked=st.lists(st.booleans(), min_size=16, max_size=16),
)
def test_what_shown_cells_tell_apart_is_exactly_what_linear_algebra_finds(counts: list[int], pooled: list[int], picked: list[bool]) -> None:
    table = dict(zip(product(range(3), range(3)), counts, strict=True)) | {
        (0, 3): pooled[0], (1, 3): pooled[1], (2, 3): pooled[2], (3, 3): pooled[3],
    }  # fmt: skip
    shown = {
        cell
        for cell, wanted in zip(cells(SHAPE), picked, strict=True)
        if wanted and sum(table.get(unit, 0) for unit in units(cell, SHAPE)) >= 10
    }
    assert bool(opened(shown, sizes(table))) == told(shown, table, 10)


def test_the_last_withheld_place_of_a_row_takes_the_row_with_it() -> None:
    table = {(0, 0): 15, (0, 1): 4, (1, 0): 20, (2, 0): 30}
    verdicts = judge(sizes(table), SHAPE)
    assert (verdicts[0, 0], verdicts[0, 1], verdicts[0, None]) == (Verdict.SHOWN, Verdict.TOO_FEW, Verdict.COMPLEMENTARY)
    # The whole would give the row away as well: 4 are what it has more than all that is shown.
    assert verdicts[WHOLE] is Verdict.COMPLEMENTARY
    enough = judge(sizes({**table, (0, 1): 4, (0, 2): 6}), SHAPE)
    assert (enough[0, None], enough[WHOLE]) == (Verdict.SHOWN, Verdict.SHOWN)


def test_a_withheld_place_where_a_row_and_a_column_cross_is_not_opened_by_both_together() -> None:
    """The row lacks 4 and 7, the column 4 and 8; row less the 7 of another column would leave 4."""
    table = {(0, 0): 4, (0, 1): 7, (1, 0): 8, (1, 1): 20, (2, 2): 12}
    verdicts = judge(sizes(table), SHAPE)
    shown = {cell for cell, verdict in verdicts.items() if verdict is Verdict.SHOWN}
    assert not told(shown, table, 10)
    assert told({(0, None), (None, 1), (1, 1)}, table, 10)


def test_a_dominated_place_is_not_left_over_by_its_row() -> None:
    made = sizes({(0, 0): 12, (0, 1): 12, (1, 0): 12})
    made.largest[0, 1], made.total[0, 1] = 10.0, 21.0
    made.total[0, 0] = 40.0
    verdicts = judge(made, SHAPE)
    assert (verdicts[0, 1], verdicts[0, None]) == (Verdict.DOMINATED, Verdict.COMPLEMENTARY)


@pytest.mark.parametrize(("largest", "verdict"), [(2.5, Verdict.SHOWN), (2.6, Verdict.DOMINATED)])
def test_a_quarter_of_the_weight_is_allowed_and_more_is_not(largest: float, verdict: Verdict) -> None:
    made = sizes({(0, 0): 10})
    made.largest[0, 0] = largest
    assert judge(made, SHAPE)[0, 0] is verdict


def _tags(start: int, count: int) -> dict[bytes, tuple[int, int]]:
    return {number.to_bytes(16, "big"): (0, 0) for number in range(start, start + count)}


def test_a_set_changes_by_nobody_or_by_three_whatever_two_releases_are_compared() -> None:
    """The chain A, A + 3, A + 1 must not come about; nor any other, over a long random walk."""
    dice, places = random.Random(3), _tags(0, 14)
    past: list[Mapping[Unit, Members]] = []
    for step in range(60):
        for tag in dice.sample(sorted(places), dice.choice((0, 1, 1, 2))):
            del places[tag]
        places |= _tags(100 + 10 * step, dice.choice((0, 1, 1, 2)))
        past.append(admit(places, SHAPE, past, LEAST, bytes([step])).members)
    sets = [members.get((0, 0), frozenset()) for members in past]
    assert all(len(one ^ other) == 0 or len(one ^ other) >= 3 for one, other in combinations(sets, 2))
    # It is alive: the set goes on changing, and most organizations count.
    assert len(set(sets)) > 10
    assert len(sets[-1]) > len(places) // 2


def test_two_newcomers_wait_and_a_leaver_is_covered_by_two_who_stay_out() -> None:
    first = admit(_tags(0, 12), SHAPE, [], LEAST, b"")
    two_more = admit(_tags(0, 14), SHAPE, [first.members], LEAST, b"")
    assert two_more.members == first.members
    assert set(two_more.waiting.values()) == {FEW}
    one_less = admit(_tags(1, 11), SHAPE, [first.members], LEAST, b"")
    assert (len(one_less.members[0, 0]), len(one_less.waiting)) == (9, 2)


def test_places_of_one_or_two_are_pooled_by_row_and_then_in_all_and_fewer_than_three_wait() -> None:
    names = iter(range(1000))
    places = {next(names).to_bytes(16, "big"): (row, column) for row, column, count in
              ((0, 0, 2), (0, 1, 1), (1, 0, 1), (2, 2, 2), (2, 1, 5)) for _ in range(count)}  # fmt: skip
    made = admit(places, SHAPE, [], LEAST, b"")
    assert {unit: len(tags) for unit, tags in made.members.items() if tags} == {(0, 3): 3, (2, 1): 5, (3, 3): 3}
    alone = admit({b"x" * 16: (0, 0), b"y" * 16: (1, 1)}, SHAPE, [], LEAST, b"")
    assert list(alone.waiting.values()) == [FEW, FEW]


def test_who_moved_is_in_no_other_unit_while_the_old_one_is_remembered() -> None:
    places = _tags(0, 8)
    first = admit(places, SHAPE, [], LEAST, b"").members
    moved = dict.fromkeys(list(places)[:4], (1, 1)) | dict.fromkeys(list(places)[4:], (0, 0))
    second = admit(moved, SHAPE, [first], LEAST, b"")
    assert set(second.waiting.values()) == {MOVED}
    assert not any(set(list(places)[:4]) & tags for tags in second.members.values())
    forgotten = admit(moved, SHAPE, [second.members], LEAST, b"").members
    assert len(forgotten[1, 1]) == 4


def test_a_place_that_shrank_is_not_told_by_what_its_row_lost() -> None:
    """Row (then) less row (now) are the three who left; the place (then) less these is the place now, of seven."""
    names = [number.to_bytes(16, "big") for number in range(40)]
    other = frozenset(names[20:32])
    then = Figures({(0, 0): frozenset(names[:10]), (0, 1): other}, frozenset({(0, 0), (0, None), WHOLE}))
    now = {(0, 0): frozenset(names[3:10]), (0, 1): other}
    assert opens(then, Figures(now, frozenset({(0, None)})), SHAPE)
    assert not opens(then, Figures(now, frozenset({(0, 1)})), SHAPE)
    assert not opens(then, Figures(then.members, then.shown), SHAPE)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60))
def test_quartiles_are_numpys_on_the_grid(found: list[float]) -> None:
    grid = Grid(-5.0, 5.0, 0.05)
    assert quartiles(found, grid) == tuple(np.quantile(grid.place(found), SHARES, method="inverted_cdf"))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@settings(max_examples=60)
@given(data=st.data())
def test_every_value_is_brought_to_a_point_at_most_half_a_step_away_within_the_bounds(metric: object, data: st.DataObject) -> None:
    grid = metric.grid  # type: ignore[attr-defined]  # a metric of the catalogue
    value = data.draw(st.floats(grid.low, grid.high))
    (point,) = grid.place([value])
    assert abs(point - value) <= grid.width(np.array([value]))[0] / 2 + 1e-4
    assert point in set(grid.points().tolist())
    assert list(grid.place([grid.low - 1e6, grid.high + 1e6])) == [grid.low, grid.high]
    assert list(grid.place(grid.points())) == list(grid.points())


def test_a_value_cannot_be_told_from_any_other_that_rounds_to_its_point() -> None:
    """Whatever is computed from any number of cells and releases: the values enter by their points alone."""
    dice = random.Random(5)
    world = World(dice)
    world.add(0, 0, 12)
    world.add(0, 1, 11)
    made = [decide(world.rows, Earlier(), b"", metrics=[METRIC])]
    for each in world.organizations.values():
        (point,) = METRIC.grid.place([each.value])
        each.value = max(point + dice.uniform(-0.49, 0.49) * METRIC.grid.step, 0.0)
    made.append(decide(world.rows, Earlier(), b"", metrics=[METRIC]))
    assert made[0].sheets == made[1].sheets
    assert made[0].sheets[0].sheet == SHEET


def test_the_catalogue_names_each_metric_once_and_says_all_of_it() -> None:
    assert len(BY_NAME) == len(METRICS) == 6
    for metric in METRICS:
        assert metric.grid.low < metric.grid.high
        assert len(metric.meaning.split()) > 3
        assert len(metric.weight.split()) > 1


def test_weaker_rules_show_more() -> None:
    table = sizes({(0, 0): 5})
    assert judge(table, SHAPE)[0, 0] is Verdict.TOO_FEW
    assert judge(table, SHAPE, Rules(organizations=5))[0, 0] is Verdict.SHOWN
