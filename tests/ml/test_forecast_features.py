from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ml.forecast_features import COLUMNS, FARTHEST, WINDOW, Pairs, Views, enough, enough_at, look
from server.ml.series import Panel, Series
from tests.ml.panels import FIRST, seasonal, series

if TYPE_CHECKING:
    from collections.abc import Sequence

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

MONTHS = 48
spend = st.one_of(st.none(), st.just(0.0), st.integers(-(10**6), 10**9).map(lambda cents: cents / 100))
histories = st.lists(spend, min_size=MONTHS, max_size=MONTHS).filter(lambda values: sum(value is not None for value in values) > 0)


def panel_of(values: Sequence[float | None]) -> Panel:
    """One series beside another that fixes the calendar."""
    return Panel.of([series([1.0] * MONTHS, key="calendar"), series(values)])


def pairs_at(origin: int, row: int = 1, visible: int = WINDOW) -> Pairs:
    """A row at every horizon, from a column of the panel."""
    ahead = np.arange(1, FARTHEST + 1)
    return Pairs(np.full(FARTHEST, row), np.full(FARTHEST, origin), ahead, np.full(FARTHEST, visible))


def column(views: Views, name: str) -> list[float]:
    return [float(value) for value in views.matrix[:, COLUMNS.index(name)]]


def test_features_of_a_simple_history_are_what_their_names_say() -> None:
    values: list[float | None] = [100.0 + month for month in range(MONTHS)]
    views = look(panel_of(values), pairs_at(MONTHS - 1))
    scale = np.median(np.arange(136, 148))
    assert set(views.scale) == {scale}

    def at(amount: float) -> float:
        return float(np.float32(np.arcsinh(amount / scale) - views.level[0]))

    assert column(views, "lag_1")[0] == at(147)
    assert column(views, "lag_12")[0] == at(136)
    assert column(views, "year_ago") == [at(136 + ahead) for ahead in range(12)]
    assert column(views, "two_years_ago") == [at(124 + ahead) for ahead in range(12)]
    assert column(views, "horizon") == list(range(1, 13))
    assert column(views, "month_of_year") == list(range(1, 13))
    assert column(views, "history")[0] == WINDOW
    assert column(views, "gap_share")[0] == column(views, "zero_share")[0] == 0
    np.testing.assert_allclose(np.sinh(views.naive) * views.scale, np.arange(136, 148))


def test_a_season_is_how_far_a_month_lies_from_the_level_of_its_year_and_growth_is_none() -> None:
    january = [(FIRST + month) % 12 == 0 for month in range(MONTHS)]
    views = look(panel_of([3.0 ** (month // 12) * (4.0 if dear else 2.0) for month, dear in enumerate(january)]), pairs_at(MONTHS - 1))
    np.testing.assert_array_less(0.3, views.season[0])  # the first month ahead is a January
    np.testing.assert_allclose(views.season[1:], 0, atol=1e-9)
    first_year = look(panel_of([2.0] * MONTHS), pairs_at(5))
    np.testing.assert_allclose(first_year.season, 0, atol=1e-9)
    assert np.isnan(column(first_year, "season")[:6]).all()


@unhurried
@given(histories, st.integers(0, MONTHS - 1), st.data())
def test_whatever_comes_later_features_stay_as_they_were(values: list[float | None], origin: int, data: st.DataObject) -> None:
    future = data.draw(st.lists(spend, min_size=MONTHS - 1 - origin, max_size=MONTHS - 1 - origin))
    other = values[: origin + 1] + future
    first = next(place for place, value in enumerate(values) if value is not None)
    if first > origin:
        return  # nothing is known yet
    before, after = (look(panel_of(each), pairs_at(origin)) for each in (values, other))
    np.testing.assert_array_equal(before.matrix, after.matrix)
    np.testing.assert_array_equal(before.scale, after.scale)
    np.testing.assert_array_equal(before.level, after.level)
    np.testing.assert_array_equal(before.naive, after.naive)


def test_a_month_that_was_known_does_change_features() -> None:
    values: list[float | None] = [100.0 + month for month in range(MONTHS)]
    changed = [*values[:30], 500.0, *values[31:]]
    origins = range(30, MONTHS)
    assert all(
        not np.array_equal(look(panel_of(values), pairs_at(at)).matrix, look(panel_of(changed), pairs_at(at)).matrix) for at in origins
    )


def test_months_out_of_view_are_as_if_they_had_never_been() -> None:
    values: list[float | None] = [float(7 * month % 40) for month in range(MONTHS)]
    beginning = [*[None] * (MONTHS - 10), *values[-10:]]
    short = look(panel_of(values), pairs_at(MONTHS - 1, visible=10))
    new = look(panel_of(beginning), pairs_at(MONTHS - 1))
    np.testing.assert_array_equal(short.matrix, new.matrix)
    assert set(short.history) == {10}


def test_six_months_in_view_are_enough() -> None:
    panel = panel_of([None, 1.0, 2.0, None, 3.0, 4.0, 5.0, 6.0, *[None] * (MONTHS - 9), 1.0])
    assert not enough(panel, pairs_at(6)).any()
    assert enough(panel, pairs_at(7)).all()
    assert not enough(panel, pairs_at(7, visible=6)).any()
    assert not enough(panel, pairs_at(-1)).any()
    assert not enough(panel, pairs_at(38)).any()  # the last three years hold five of the seven values


@unhurried
@given(histories, st.integers(0, MONTHS - 1))
def test_what_is_enough_is_the_same_for_all_origins_as_for_each(values: list[float | None], origin: int) -> None:
    panel = panel_of(values)
    np.testing.assert_array_equal(enough_at(panel)[1, [origin] * FARTHEST], enough(panel, pairs_at(origin)))


def test_the_unit_of_money_does_not_matter() -> None:
    panel = seasonal(1, MONTHS)
    pence = Panel.of([Series("p", FIRST, panel.values[0] * 128)])
    ours, other = look(panel, pairs_at(MONTHS - 1, row=0)), look(pence, pairs_at(MONTHS - 1, row=0))
    np.testing.assert_array_equal(ours.matrix, other.matrix)
    np.testing.assert_array_equal(ours.scale * 128, other.scale)


def test_a_year_of_zeros_keeps_the_unit_of_the_years_before() -> None:
    views = look(panel_of([50.0] * 36 + [0.0] * 12), pairs_at(MONTHS - 1))
    assert set(views.scale) == {50.0}
    assert not views.zero.any()
    assert look(panel_of([0.0] * MONTHS), pairs_at(MONTHS - 1)).zero.all()


def test_budgets_of_the_forecast_month_and_what_was_used_are_seen() -> None:
    months = list(range(FIRST, FIRST + MONTHS))
    plan = dict.fromkeys(range(FIRST, FIRST + MONTHS + 12), 200.0)
    views = look(Panel.of([Series.of("a", months, [100.0] * MONTHS, budget=plan)]), pairs_at(MONTHS - 1, row=0))
    np.testing.assert_allclose(column(views, "budget"), np.arcsinh(2) - np.arcsinh(1), rtol=1e-6)
    np.testing.assert_allclose(column(views, "budget_used"), np.arcsinh(0.5), rtol=1e-6)
    without = look(panel_of([100.0] * MONTHS), pairs_at(MONTHS - 1))
    assert np.isnan(column(without, "budget")).all()
    assert np.isnan(column(without, "budget_used")).all()


def test_a_category_has_a_column_another_one_none_and_no_category_is_absent() -> None:
    made = [Series.of(name, [FIRST], [1.0], category=name) for name in ("travel", "rent")] + [series([1.0])]
    pairs = Pairs(np.arange(3), np.zeros(3, dtype=np.intp), np.ones(3, dtype=np.intp), np.full(3, WINDOW))
    found = look(Panel.of(made), pairs, ["travel"]).matrix[:, -1]
    np.testing.assert_array_equal(found, [1.0, 0.0, np.nan])
