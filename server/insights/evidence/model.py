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

    Days: TypeAlias = Sequence[int] | npt.NDArray[np.int32]
    # Numbers come as an array with NaN for absent ones, which nobody has to look at one by one; True is 1.
    Column: TypeAlias = Sequence[AttributeValue | None] | npt.NDArray[np.float64] | npt.NDArray[np.object_]

EPOCH_ORDINAL = 719_163
"""`date.toordinal()` of 1970-01-01: days of evidence are counted from there, because numbers come over the wire faster than dates."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The time that a night is judged at, and of which kinds an organization has facts."""

    now: datetime
    known: Collection[FactSet]


@dataclass(frozen=True, slots=True)
class Workforce:
    """Everybody who was ever seen, by column; all sequences have the same length.

    Args:
        keys: pseudonyms, in their order.
        first_seen: day (since 1970) of the first known state.
        last_seen: day of the latest known state.
        left: day of the latest exit that is not in the future; None or NaN where there is none.
        attributes: at the latest state, by name; None or NaN where absent.
        exits: day of every exit up to the day of the run, also of people of whom no state is known.

    """

    keys: Sequence[str]
    first_seen: Days
    last_seen: Days
    left: Sequence[int | None] | npt.NDArray[np.float64]
    attributes: Mapping[str, Column]
    exits: Sequence[int]


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
    """A contract in force, with what its risk is scored by; `first_start` is that of the first contract with the same other side."""

    contract_key: str
    start_date: date
    end_date: date | None
    first_start: date | None
    notice_days: int | None
    auto_renew: bool
    value: float
    currency: str
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class SpendMonth:
    """What a unit spent in a month over all categories, and its plan, in one currency; None where nothing is known."""

    unit: str
    currency: str
    month: int
    amount: float | None
    budget: float | None


@dataclass(frozen=True, slots=True)
class TeamQuarter:
    """Reviews of a team in three complete months; `deviation` is that of the sample, 0 for a single review."""

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
    """The latest score of everybody reviewed in the last twelve months, brought to a scale up to 5; no mean without people."""

    people: int
    mean: float | None


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
