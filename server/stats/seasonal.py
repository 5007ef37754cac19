"""How far a month is from what the months before it lead one to expect: robust seasonal residuals.

The months before are taken apart into a level, a straight trend, a season in one of three forms (none, a yearly wave, a
height for each calendar month), level shifts and one-off events (`server.stats.events`). The form is chosen by the
corrected Akaike criterion (Hurvich & Tsai 1989), which asks more of a form with more parameters when months are few. The
month that is judged takes no part in any of it, so that a spike cannot hide itself. Its score is the residual over its own
standard error, the externally studentized residual of regression (Cook & Weisberg 1982, section 2.2.1), put as the normal
score that is as rare.

An unusual month is explained, and then judged anew against the explanation, when the month before it already stood out
(the level has shifted: only its first month is news) or the same month a year before did (a season with one year to show).

What always holds: figures are finite or there is no judgement; a constant series has a sigma above 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from server.stats import events
from server.stats.events import Candidates, Fit
from server.stats.normal import from_student
from server.stats.robust import Numbers, median

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_MONTHS = 6
"""Months that must be known before the one that is judged: level and trend cost two, and a scale from fewer than four
residuals says nothing."""

WINDOW = 48
"""Months looked back at most; a trend is straight only for so long."""

UNUSUAL = 3.0
"""Score from which a month is unusual: one ordinary month in 370 (Shewhart 1931). The score allows for how little is known,
so that the rate holds for short histories too."""

FLOOR_SHARE = 0.005
"""Least sigma as a share of the median absolute month: no smaller movement of a month is worth a word."""

RANGE = 2.0
"""Half the width of the expected range in standard errors; 95 % of ordinary months are inside."""

_WAVE_FROM = 15
_HEIGHTS_FROM = 24
_STOOD_OUT = 2


class Season(StrEnum):
    """The form of the season that explains the months best: none, a yearly wave, or some or all calendar months on their own."""

    NONE = "none"
    WAVE = "wave"
    HEIGHTS = "heights"


class Explanation(StrEnum):
    """Why a month that looked unusual is judged against another expectation."""

    NOTHING = ""
    LEVEL_SHIFT = "level_shift"
    LAST_YEAR = "last_year"


@dataclass(frozen=True, slots=True)
class MonthlySeries:
    """Values of consecutive months.

    Args:
        first: number of the first month, year x 12 + month - 1.
        values: one per month; None where nothing is known.

    """

    first: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A month against the months before it.

    Args:
        month: its number.
        value: what it was.
        expected: what the months before lead to.
        low: lower end of the expected range.
        high: upper end of it; about 95 % of ordinary months are inside.
        residual: value - expected.
        sigma: robust standard deviation of an ordinary month, above 0.
        score: residual in standard errors of the prediction, as a normal score; negative below the expectation.
        history: months it was judged against.
        season: form of the season.
        explanation: what the expectation already allows for.

    """

    month: int
    value: float
    expected: float
    low: float
    high: float
    residual: float
    sigma: float
    score: float
    history: int
    season: Season
    explanation: Explanation

    @property
    def is_finite(self) -> bool:
        """Whether the figures can be reckoned with: none is too large for a float, and sigma is not too small for one."""
        figures = (self.value, self.expected, self.low, self.high, self.residual, self.score)
        return all(math.isfinite(figure) for figure in figures) and 0 < self.sigma < math.inf

    @property
    def is_unusual(self) -> bool:
        """Whether the month is a jump."""
        return abs(self.score) >= UNUSUAL


@dataclass(frozen=True, slots=True)
class _Past:
    """The months before, scaled to at most 1, and their fit."""

    times: Numbers
    values: Numbers
    base: Numbers
    penalty: Numbers
    candidates: Candidates
    season: Season
    fit: Fit
    sigma: float


@dataclass(frozen=True, slots=True)
class _Prediction:
    """What is expected, and the variance of a new month around it in units of the squared sigma."""

    expected: float
    variance: float
    explanation: Explanation = Explanation.NOTHING


def judge(series: MonthlySeries, month: int) -> Judgement | None:
    """Judge one month against those before it; months after it are not looked at.

    A month that is not over yet is the caller's to leave out: ask for a complete one.

    Args:
        series: at most `WINDOW` months before `month` are used.
        month: number of the month to judge.

    Returns:
        None when the month has no value, when fewer than `FEWEST_MONTHS` before it have one, when all of them are 0, or when
        the figures are too large to reckon with.

    """
    place = month - series.first
    value = series.values[place] if 0 <= place < len(series.values) else None
    if value is None:
        return None
    known = [(place - before, seen) for before in range(max(0, place - WINDOW), place) if (seen := series.values[before]) is not None]
    if len(known) < FEWEST_MONTHS:
        return None
    history = np.array([seen for _, seen in known])
    scale = float(np.max(np.abs(history)))
    if not math.isfinite(scale) or scale == 0 or not math.isfinite(value / scale):
        return None
    times = -np.array([ago for ago, _ in known], dtype=np.float64)
    past = _past(times, (month + times.astype(np.int64)) % 12, history / scale)
    found = _judge(past, value / scale, month % 12)
    error = past.sigma * math.sqrt(found.variance)
    residual = value / scale - found.expected
    judgement = Judgement(
        month=month,
        value=value,
        expected=scale * found.expected,
        low=scale * (found.expected - RANGE * error),
        high=scale * (found.expected + RANGE * error),
        residual=scale * residual,
        sigma=scale * past.sigma,
        score=from_student(residual / error, past.fit.free),
        history=len(known),
        season=Season.HEIGHTS if any(place >= 2 * len(known) for place in past.fit.order) else past.season,
        explanation=found.explanation,
    )
    return judgement if judgement.is_finite else None


def _past(times: Numbers, calendar: np.ndarray[tuple[int], np.dtype[np.int64]], values: Numbers) -> _Past:
    candidates = Candidates.of(calendar)
    floor = FLOOR_SHARE * median(np.abs(values)) or FLOOR_SHARE * float(np.mean(np.abs(values)))
    best: _Past | None = None
    best_criterion = math.inf
    for season in _forms(times):
        base, penalty = _base(times, calendar, season)
        fit = events.search(values, base, penalty, candidates, floor)
        criterion = _akaike(fit, len(values), floor)
        if best is None or criterion < best_criterion:
            best = _Past(times, values, base, penalty, candidates, season, fit, max(events.reweighted_sigma(fit), floor))
            best_criterion = criterion
    if best is None:
        msg = "a series always has the form without a season"
        raise AssertionError(msg)
    return best


def _forms(times: Numbers) -> Sequence[Season]:
    span = -times[0]
    if span >= _HEIGHTS_FROM:
        return (Season.NONE, Season.WAVE, Season.HEIGHTS)
    return (Season.NONE, Season.WAVE) if span >= _WAVE_FROM else (Season.NONE,)


def _base(times: Numbers, calendar: np.ndarray[tuple[int], np.dtype[np.int64]], season: Season) -> tuple[Numbers, Numbers]:
    columns = [np.ones(len(times)), times / 12]
    if season is Season.WAVE:
        angle = 2 * np.pi * calendar / 12
        columns += [np.sin(angle), np.cos(angle)]
    if season is Season.HEIGHTS:
        columns += list((calendar[:, None] == np.arange(12)[None, :]).T.astype(np.float64))
    penalty = np.zeros(len(columns))
    if season is Season.HEIGHTS:
        penalty[2:] = events.RIDGE
    return np.column_stack(columns), penalty


def _akaike(fit: Fit, count: int, floor: float) -> float:
    used = count - fit.free + 1
    misfit = max(float(np.mean(fit.residuals**2)), floor**2)
    return count * math.log(misfit) + 2 * used + 2 * used * (used + 1) / max(count - used - 1, 1.0)


def _judge(past: _Past, value: float, calendar: int) -> _Prediction:
    plain = _predict(past, past.fit, calendar)
    if abs(from_student((value - plain.expected) / (past.sigma * math.sqrt(plain.variance)), past.fit.free)) < UNUSUAL:
        return plain
    return min(
        [plain, *_shifted(past, calendar), *_as_other_years(past, plain)],
        key=lambda found: abs(value - found.expected) / math.sqrt(found.variance),
    )


def _predict(past: _Past, fit: Fit, calendar: int) -> _Prediction:
    ahead, _ = _base(np.zeros(1), np.array([calendar]), past.season)
    row = np.concatenate([ahead[0], _events_ahead(fit, past, calendar)])
    return _Prediction(float(row @ fit.weights), 1.0 + float(row @ fit.spread @ row))


def _events_ahead(fit: Fit, past: _Past, calendar: int) -> Numbers:
    """One-offs are over, shifts go on, months recur; in the order of the columns of the design."""
    count = len(past.values)
    chosen = fit.order
    return np.array([0.0 if place < count else 1.0 if place < 2 * count else float(place - 2 * count == calendar) for place in chosen])


def _shifted(past: _Past, calendar: int) -> list[_Prediction]:
    """What is expected if the last one or two months, which stood out, began a new level."""
    count, found = len(past.values), []
    for ago in range(1, _STOOD_OUT + 1):
        first = count - ago
        if not any(place in past.fit.one_offs for place in range(first, count)):
            continue
        kept = [place for place in past.fit.order if not first <= place < count]
        fit = events.solve(past.values, past.base, past.penalty, past.candidates, [*kept, count + first])
        expected = _predict(past, fit, calendar)
        found.append(_Prediction(expected.expected, expected.variance, Explanation.LEVEL_SHIFT))
    return found


def _as_other_years(past: _Past, plain: _Prediction) -> list[_Prediction]:
    """What is expected if what stood out in this calendar month in the last year that has it recurs."""
    same_month = np.flatnonzero(past.times % 12 == 0)
    if not len(same_month) or int(same_month[-1]) not in past.fit.one_offs:
        return []
    effect = past.fit.weights[past.base.shape[1] + past.fit.order.index(int(same_month[-1]))]
    return [_Prediction(plain.expected + float(effect), 2 * plain.variance, Explanation.LAST_YEAR)]
