"""What moved predictions, in words: features named for people, contributions added up over those who were explained.

Only the name and the direction of a feature are told, never its value, so that nothing is said of one person.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.insights import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from server.insights.detect.inputs import Reason

SHOWN = 5
LEAST_SHARE = 0.05
"""Smallest share of what raises the risk that is worth a word."""

_LABELS = {
    "business_travel": "business travel",
    "companies_worked": "number of earlier employers",
    "department": "department",
    "distance_from_home": "distance from home",
    "education_field": "field of education",
    "education_level": "level of education",
    "environment_satisfaction": "satisfaction with the workplace",
    "job_involvement": "involvement in the job",
    "job_level": "job level",
    "job_role": "job role",
    "job_satisfaction": "job satisfaction",
    "monthly_income": "monthly pay",
    "over_time": "overtime",
    "performance_rating": "performance rating",
    "relationship_satisfaction": "satisfaction with colleagues",
    "salary_hike_percent": "last pay rise",
    "stock_option_level": "stock options",
    "total_working_years": "years of work in all",
    "trainings_last_year": "trainings in the last year",
    "work_life_balance": "work-life balance",
    "years_at_company": "years at the company",
    "years_in_current_role": "years in the current role",
    "years_since_promotion": "years since the last promotion",
    "years_with_manager": "years with the current manager",
}


@dataclass(frozen=True, slots=True)
class Driver:
    """A feature that raises the risk, and its share of all that raises it, above 0 to 1."""

    feature: str
    share: float

    @property
    def label(self) -> str:
        """The feature as people call it."""
        return _LABELS.get(self.feature) or wording.name(self.feature.replace("_", " "))

    def to_json(self) -> dict[str, object]:
        """As in the data points of a finding."""
        return {"feature": self.feature, "label": self.label, "direction": "increases", "share": round(self.share, 3)}


def drivers(explained: Iterable[Sequence[Reason]]) -> list[Driver]:
    """The features that raise the risk most over all who were explained, at most `SHOWN`, strongest first.

    A feature counts by its summed contribution, so that one which raises the risk of some and lowers that of others as much
    is no driver.
    """
    sums: defaultdict[str, float] = defaultdict(float)
    for reasons in explained:
        for reason in reasons:
            if math.isfinite(reason.contribution):
                sums[reason.feature] += reason.contribution
    rising = {feature: value for feature, value in sums.items() if 0 < value < math.inf}
    largest = max(rising.values(), default=0.0)
    total = sum(value / largest for value in rising.values())
    shares = [Driver(feature, value / largest / total) for feature, value in rising.items()]
    shares.sort(key=lambda driver: (-driver.share, driver.feature))
    return [driver for driver in shares[:SHOWN] if driver.share >= LEAST_SHARE]


def sentence(found: Sequence[Driver], of_whom: str) -> str:
    """`What raises the risk most among ...: overtime, monthly pay and job satisfaction.`; empty without drivers."""
    return f"What raises the risk most {of_whom}: {wording.listed([driver.label for driver in found])}." if found else ""
