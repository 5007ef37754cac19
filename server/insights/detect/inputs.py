"""What the detectors are given. Nothing here is checked: a detector says what it cannot judge.

Months are numbers, year x 12 + month - 1, as in `server.stats.seasonal`. Amounts are in units of their currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from server.stats.seasonal import MonthlySeries
    from server.stats.turnover import TurnoverRate


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """The model behind a probability or a forecast: its type, as in the registry, and its semantic version."""

    model_type: str
    version: str


@dataclass(frozen=True, slots=True)
class Reason:
    """What one feature added to one prediction, in log-odds; positive when it raises the probability."""

    feature: str
    contribution: float


@dataclass(frozen=True, slots=True)
class FlaggedEmployee:
    """An employee who may leave.

    Args:
        pseudonym: key of the employee.
        probability: calibrated probability of leaving within twelve months.
        reasons: of the few who were explained; empty for the others.

    """

    pseudonym: str
    probability: float
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnoverFigures:
    """One organization's turnover.

    Args:
        headcount: employees who were scored.
        threshold: probability from which an employee is flagged.
        flagged: the flagged ones, in any order.
        rate: trailing turnover; None when too little is known.
        model: what made the probabilities.
        facts_as_of: newest date of the facts.
        monthly_pay: mean monthly pay of all employees, flagged or not, 5 or more of them; None when unknown.
        currency: of the pay; empty when unknown.

    """

    headcount: int
    threshold: float
    flagged: tuple[FlaggedEmployee, ...]
    rate: TurnoverRate | None
    model: ModelUsed
    facts_as_of: date
    monthly_pay: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class CostCentrePayroll:
    """Payroll cost per month of one cost centre in one currency.

    Args:
        cost_centre: its name.
        currency: ISO 4217.
        months: cost per month; None where nothing was booked.
        facts_as_of: newest date of the facts.
        people: how many were paid, by month; nobody in a month that it leaves out.

    """

    cost_centre: str
    currency: str
    months: MonthlySeries
    facts_as_of: date
    people: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ForecastMonth:
    """Forecast of one month's spend: median and 80 % interval."""

    month: int
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """One budget of one year.

    Args:
        name: what it is for.
        currency: ISO 4217.
        budget: of the whole year.
        spent: from the start of the year to the end of `spent_through`.
        spent_through: last complete month in `spent`.
        last_month: last month of the year.
        forecast: at least the months after `spent_through` to `last_month`, once each.
        model: what made the forecast.
        facts_as_of: newest date of the facts.

    """

    name: str
    currency: str
    budget: float
    spent: float
    spent_through: int
    last_month: int
    forecast: tuple[ForecastMonth, ...]
    model: ModelUsed
    facts_as_of: date


@dataclass(frozen=True, slots=True)
class ContractFigures:
    """One contract that is marked as in force.

    Args:
        key: its key.
        ends: last day; None for an open end.
        facts_as_of: day on which it was loaded as it is.
        starts: first day; None when unknown.
        notice_by: last day on which notice can be given; None when none is agreed.
        renews_itself: whether it goes on when nobody gives notice; None when not told, and then nothing is said of it.
        value: of its whole term; None when unknown.
        currency: ISO 4217; empty when there is no value.
        risk: calibrated probability that it goes wrong; None when it was not scored.
        reasons: what moved the risk.
        model: what made the risk; None with it.

    """

    key: str
    ends: date | None
    facts_as_of: date
    starts: date | None = None
    notice_by: date | None = None
    renews_itself: bool | None = None
    value: float | None = None
    currency: str = ""
    risk: float | None = None
    reasons: tuple[Reason, ...] = ()
    model: ModelUsed | None = None


@dataclass(frozen=True, slots=True)
class ReviewPeriod:
    """Reviews of one team in one period, as figures that name nobody.

    Args:
        ended: last day of the period.
        people: how many were reviewed.
        reviews: how many reviews.
        mean: their mean score.
        deviation: their standard deviation.

    """

    ended: date
    people: int
    reviews: int
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class TeamReviews:
    """The reviews of one team.

    Args:
        team: its name.
        periods: in any order.
        facts_as_of: newest date of the facts.
        lowest: lowest possible score.
        highest: highest possible score.

    """

    team: str
    periods: tuple[ReviewPeriod, ...]
    facts_as_of: date
    lowest: float = 1.0
    highest: float = 5.0
