"""What can be said of a real payroll with five yearly figures per agency.

Monthly residuals need six months before the one judged; five years have no season and no scale of their own. What can be
compared is an agency with the other agencies of the same year: the yearly change of the logarithm of its pay, less the median
change of all agencies, in robust sigmas of those changes (1.4826 x MAD), unusual from 3.5 on (Iglewicz & Hoaglin 1993). A
change is taken apart into headcount and pay per head, which says what it was.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.stats import seasonal
from server.stats.robust import mad_sigma, median
from server.stats.seasonal import MonthlySeries

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).parents[3] / "shared" / "data" / "hr_baltimore_payroll_panel_fy2012_2016.parquet"
UNUSUAL = 3.5
FEWEST_EMPLOYEES = 30
LEAST_KNOWN = 0.9
YOUTH_JOBS = "W"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"the public payroll is not there: {FILE.name} in shared/data beside the repository"
)

Agencies = dict[str, dict[int, tuple[int, float]]]


def agencies() -> Agencies:
    """Agency -> fiscal year -> headcount and mean gross pay, where the pay of nearly everybody is known."""
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = parquet.read_table(FILE, columns=["agency_group", "fiscal_year", "gross_pay"]).to_pydict()
    known: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    heads: Counter[tuple[str, int]] = Counter()
    for agency, year, pay in zip(*columns.values(), strict=True):
        if not agency.startswith(YOUTH_JOBS):
            heads[agency, year] += 1
            if pay is not None and math.isfinite(pay):
                known[agency, year].append(pay)
    found: Agencies = defaultdict(dict)
    for (agency, year), count in heads.items():
        if count >= FEWEST_EMPLOYEES and len(known[agency, year]) >= LEAST_KNOWN * count:
            found[agency][year] = (count, float(np.mean(known[agency, year])))
    return found


def scores(changes: Mapping[str, float]) -> dict[str, float]:
    """Robust scores of one year's changes."""
    values = np.array(list(changes.values()))
    return {agency: (value - median(values)) / mad_sigma(values) for agency, value in changes.items()}


def yearly(found: Agencies, year: int) -> tuple[dict[str, float], dict[str, float]]:
    """Change of the logarithm of the total pay, and the part of it that is headcount."""
    both = {agency: (years[year - 1], years[year]) for agency, years in found.items() if {year - 1, year} <= years.keys()}
    total = {agency: math.log(after[0] * after[1] / (before[0] * before[1])) for agency, (before, after) in both.items()}
    return total, {agency: math.log(after[0] / before[0]) for agency, (before, after) in both.items()}


def test_five_yearly_figures_are_too_few_for_residuals_of_their_own() -> None:
    for years in agencies().values():
        values = tuple(count * pay for count, pay in (years.get(year, (0, 0.0)) for year in range(2012, 2017)))
        assert [seasonal.judge(MonthlySeries(2012, values), year) for year in range(2012, 2017)] == [None] * 5


def test_agencies_that_stand_out_from_the_others_of_their_year_are_few_and_explained() -> None:
    found = agencies()
    assert all(not agency.startswith(YOUTH_JOBS) for agency in found)
    compared, unusual = 0, 0
    for year in range(2013, 2017):
        total, heads = yearly(found, year)
        judged = scores(total)
        compared += len(judged)
        print(f"FY{year}: {len(judged)} agencies, median change {math.expm1(median(np.array(list(total.values())))):+.1%}")
        for agency, score in sorted(judged.items(), key=lambda item: -abs(item[1])):
            if abs(score) >= UNUSUAL:
                unusual += 1
                per_head = math.expm1(total[agency] - heads[agency])
                why = f"headcount {math.expm1(heads[agency]):+.1%}, pay per head {per_head:+.1%}"
                print(f"  {agency} {math.expm1(total[agency]):+7.1%} (score {score:+.1f}): {why}")
    print(f"{unusual} of {compared} agency years stand out")
    assert compared > 100
    assert 0 < unusual < 0.15 * compared


def test_control_a_doubled_agency_stands_out() -> None:
    total, _ = yearly(agencies(), 2015)
    ordinary = min(total, key=lambda agency: abs(scores(total)[agency]))
    assert scores({**total, ordinary: total[ordinary] + math.log(2)})[ordinary] > UNUSUAL
