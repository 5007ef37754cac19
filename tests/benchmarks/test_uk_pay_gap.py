"""Disclosure control over 6,921 real employers: the pay gap reports of the United Kingdom for 2019/20."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import INDUSTRIES, SIZES, Contribution, Earlier, Past, Place, Sheet
from server.benchmarks.release import decide
from server.tenants.model import Industry, SizeRange
from tests.benchmarks.attacker import attacks
from tests.benchmarks.worlds import Seen, members_of

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).parents[3] / "shared" / "data" / "bench_uk_gender_pay_gap_2019_20.csv.gz"
# Percent, as the gap of median hourly pay is; a few employers report thousands of percent, which the bounds cut.
METRIC = BY_NAME["budget_variance_pct"]
SHEET = Sheet(METRIC.name, "")
# First two digits of the Standard Industrial Classification (UK SIC 2007), by the nearest of our industries.
DIVISIONS = {
    Industry.TECHNOLOGY: range(58, 64),
    Industry.HEALTHCARE: range(86, 89),
    Industry.FINANCE: range(64, 67),
    Industry.MANUFACTURING: range(10, 34),
    Industry.RETAIL: range(45, 48),
    Industry.PROFESSIONAL_SERVICES: range(69, 76),
}
# Their bands begin at 250; what is below reports by its own will.
BANDS = {
    "Less than 250": (SizeRange.FROM_50, 125.0),
    "250 to 499": (SizeRange.FROM_201, 375.0),
    "500 to 999": (SizeRange.FROM_201, 750.0),
    "1000 to 4999": (SizeRange.FROM_1001, 2500.0),
    "5000 to 19,999": (SizeRange.FROM_5001, 10_000.0),
    "20,000 or more": (SizeRange.FROM_5001, 40_000.0),
}


def employers() -> list[Contribution]:
    """Employers of our six industries with band and gap; of several codes the first counts, and code 1 is a placeholder."""
    if not FILE.exists():
        pytest.skip(f"the published data set is not beside the checkout ({FILE})")
    found = []
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            codes = [code.strip() for code in row["SicCodes"].split(",") if code.strip() not in ("", "1")]
            division = int(codes[0].zfill(5)[:2]) if codes else 0
            industry = next((name for name, known in DIVISIONS.items() if division in known), None)
            if industry is not None and row["EmployerSize"] in BANDS and row["DiffMedianHourlyPercent"]:
                size, headcount = BANDS[row["EmployerSize"]]
                tag = int(row["EmployerId"]).to_bytes(16, "big")
                value = float(row["DiffMedianHourlyPercent"])
                found.append(Contribution(tag, METRIC.name, value, headcount, "", industry.value, size.value))
    return found


def _released(rows: Sequence[Contribution], past: Sequence[Past] = ()) -> Seen:
    (sheet,) = decide(rows, Earlier(len(past), {SHEET: past} if past else {}), b"salt", metrics=[METRIC]).sheets
    return Seen(
        members=sheet.members,
        shown={cell.place: members_of(cell.place, sheet.members) for cell in sheet.cells if not cell.withheld},
        figures={cell.place: cell.quartiles for cell in sheet.cells if cell.quartiles is not None},
        weights={row.tag: row.weight for row in rows},
        values={row.tag: row.value for row in rows},
    )


@pytest.mark.parametrize("share", [1.0, 0.25, 0.08, 0.03])
def test_real_employers_are_compared_where_they_are_many_and_hidden_where_they_are_few(share: float) -> None:
    dice = random.Random(1)
    rows = [row for row in employers() if dice.random() < share]
    first = _released(rows)
    # A year later some have gone and others come.
    others = [row for row in employers() if row.tag not in first.weights]
    later = [row for row in rows if dice.random() > 0.05] + others[: len(rows) // 20]
    second = _released(later, [Past(first.members, frozenset(first.shown))])
    counts = {Place(industry, size): 0 for industry in INDUSTRIES for size in SIZES}
    for row in rows:
        counts[Place(Industry(row.industry), SizeRange(row.size))] += 1
    finest = [place for place in first.shown if place.industry and place.size]
    print(
        f"pay gap, {len(rows)} employers: {len(first.shown)} of 42 cells shown, {42 - len(first.shown)} withheld; of the 30 finest "
        f"{len(finest)} shown; a release later {len(second.shown)} shown; smallest cells {sorted(counts.values())[:8]}"
    )
    assert attacks([first, second]) == []
    assert all(counts[place] >= 10 for place in finest)
    assert len(first.shown) > (12 if share >= 0.25 else 0)


def test_the_figures_are_those_of_numpy_over_the_same_employers() -> None:
    rows = employers()
    assert len(rows) > 3000
    seen = _released(rows)
    values = {row.tag: row.value for row in rows}
    for place, members in seen.shown.items():
        plain = np.quantile([np.clip(values[tag], -100, 200) for tag in members], [0.25, 0.5, 0.75], method="inverted_cdf")
        # Rounding keeps the order, so a figure is the rounded quantile: half a step away at most.
        assert np.abs(np.array(seen.figures[place]) - plain).max() <= METRIC.grid.step / 2 + 1e-9
