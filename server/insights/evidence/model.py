"""Facts of one organization as the detectors and the models need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    import numpy as np
    import numpy.typing as npt

    from server.facts.model import AttributeValue, FactSet
    from server.ml.encoding import Coded

    Days: TypeAlias = Sequence[int] | npt.NDArray[np.int32]
    # Numbers come as an array with NaN for absent ones, which nobody has to look at one by one; True is 1.
    Column: TypeAlias = Sequence[AttributeValue | None] | npt.NDArray[np.float64] | Coded

EPOCH_ORDINAL = 719_163
"""`date.toordinal()` of 1970-01-01: days of evidence are counted from there, because numbers come over the wire faster than dates."""


OVERDUE_DAYS = 90
"""How long a contract that is past its end and still marked as active is told as such: after that nobody keeps its facts up."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What there is to be read.

    Args:
        now: the time that a night is judged at.
        known: of which kinds an organization has facts.
        erasures: how often facts of it were erased, to be counted again before anything is written (`Turn.erasures`).

    """

    now: datetime
    known: Collection[FactSet]
    erasures: int


@dataclass(frozen=True, slots=True)
class Workforce:
    """Everybody who was ever seen, by column; all sequences have the same length.

    Args:
        keys: pseudonyms, in their order.
        first_seen: day (since 1970) of the first known state.
        last_seen: day of the latest known state.
        left: day of the latest exit, also one that is still to come; None or NaN where there is none.
        leaving: whether the latest state says that they left within a year of it.
        attributes: at the latest state, by name; None or NaN where absent.
        strangers: how many have an exit but no state, so that nobody knows when they came.

    """

    keys: Sequence[str]
    first_seen: Days
    last_seen: Days
    left: Sequence[int | None] | npt.NDArray[np.float64]
    leaving: Sequence[bool] | npt.NDArray[np.bool_]
    attributes: Mapping[str, Column]
    strangers: int


@dataclass(frozen=True, slots=True)
class PayrollMonth:
    """What a cost centre paid in a month, in one currency; `month` is year x 12 + month - 1."""

    cost_centre: str
    currency: str
    month: int
    cost: float
    people: int


@dataclass(frozen=True, slots=True)
class OpenContract:
    """A contract that is marked as active and has no outcome but one after which it goes on, with what its risk is scored by.

    Those are RENEWED and CHANGED.

    Args:
        contract_key: its key.
        known_on: day (UTC) on which it was loaded as it is.
        start_date: first day.
        end_date: last day, at most `OVERDUE_DAYS` ago; None for an open end.
        first_start: start of the first contract with the same other side; None where that is not named.
        notice_days: days of notice; None when not told.
        auto_renew: whether it renews itself; None when not told.
        value: of its whole term.
        currency: ISO 4217.
        attributes: what else is known, by name.

    """

    contract_key: str
    known_on: date
    start_date: date
    end_date: date | None
    first_start: date | None
    notice_days: int | None
    auto_renew: bool | None
    value: float
    currency: str
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class SpendMonth:
    """What a unit spent on a category in a month, and its plan, in one currency; None where nothing is known."""

    unit: str
    currency: str
    month: int
    amount: float | None
    budget: float | None
    category: str = ""


@dataclass(frozen=True, slots=True)
class TeamQuarter:
    """Reviews of a team in three complete months on one scale; `deviation` is that of the sample, 0 for a single review."""

    team: str
    ended: date
    people: int
    reviews: int
    mean: float
    deviation: float
    scale_max: float | None


@dataclass(frozen=True, slots=True)
class EndedContracts:
    """Contracts of the last twelve months that were renewed or could have been."""

    renewed: int
    ended: int


@dataclass(frozen=True, slots=True)
class Scores:
    """The latest score of everybody reviewed in the last twelve months, brought to a scale up to 5; no mean without people.

    Only reviews that tell their scale count; `without_scale` says that there are others.
    """

    people: int
    mean: float | None
    without_scale: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that one organization's night is computed from."""

    workforce: Workforce
    payroll: Sequence[PayrollMonth]
    contracts: Sequence[OpenContract]
    ended: EndedContracts
    spend: Sequence[SpendMonth]
    reviews: Sequence[TeamQuarter]
    scores: Scores
