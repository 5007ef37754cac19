from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from server.insights.detect import payroll
from server.stats.seasonal import MonthlySeries
from tests.insights_detect.figures import MARCH, NOW, PAYROLL, PEOPLE, WAGES, with_newest

if TYPE_CHECKING:
    from server.insights.detect.inputs import CostCentrePayroll
    from server.insights.model import Finding


def found(figures: CostCentrePayroll) -> Finding:
    (finding,) = payroll.detect([figures], NOW).findings
    return finding


def test_the_running_month_is_not_looked_at() -> None:
    assert PAYROLL.months.values[-1] == 90_000.0
    assert found(PAYROLL) == found(with_newest(495_000.0))
    assert payroll.detect([with_newest(436_000.0)], NOW).findings == ()


def test_the_data_points_add_up() -> None:
    points = found(PAYROLL).data_points
    assert (points["costCentre"], points["currency"], points["month"], points["amount"]) == ("Sales", "EUR", "2026-03", 495_000.0)
    amount, expected, excess = points["amount"], points["expectedAmount"], points["excessAmount"]
    assert isinstance(amount, float)
    assert isinstance(expected, float)
    assert amount - expected == pytest.approx(excess, abs=0.02)
    json.dumps(points, allow_nan=False)


def test_a_higher_month_is_never_less_severe() -> None:
    severities = [found(with_newest(450_000.0 + 10_000 * step)).severity for step in range(12)]
    assert severities == sorted(severities)
    assert severities[0] < severities[-1]


def test_a_month_that_is_still_missing_is_judged_when_it_comes_but_an_old_one_is_not() -> None:
    late = replace(PAYROLL, months=MonthlySeries(MARCH - len(WAGES), (*WAGES[:-1], 495_000.0)))
    assert found(late).data_points["month"] == "2026-02"
    assert payroll.detect([late], datetime(2026, 6, 3, tzinfo=UTC)).skips == {"NO_RECENT_MONTH": 1}


def test_each_month_and_currency_is_a_subject_of_its_own() -> None:
    other = replace(PAYROLL, currency="USD")
    assert found(PAYROLL).fingerprint != found(other).fingerprint
    (later,) = payroll.detect([PAYROLL], datetime(2026, 4, 29, tzinfo=UTC)).findings
    assert later.fingerprint == found(PAYROLL).fingerprint


def test_the_worst_cost_centre_comes_first() -> None:
    detected = payroll.detect([replace(with_newest(460_000.0), cost_centre="A"), replace(with_newest(600_000.0), cost_centre="B")], NOW)
    assert [finding.data_points["costCentre"] for finding in detected.findings] == ["B", "A"]


def series(*values: float | None) -> MonthlySeries:
    return MonthlySeries(MARCH + 1 - len(values), values)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (replace(PAYROLL, currency=""), "NO_CURRENCY"),
        (replace(PAYROLL, currency="euros"), "NO_CURRENCY"),
        (replace(PAYROLL, months=series()), "NO_RECENT_MONTH"),
        (replace(PAYROLL, months=series(1000.0)), "TOO_FEW_MONTHS"),
        (replace(PAYROLL, months=series(*[1000.0] * 6)), "TOO_FEW_MONTHS"),
        (replace(PAYROLL, months=series(*[0.0] * 12, 1000.0)), "NO_PAYROLL"),
        (replace(PAYROLL, months=series(*[1000.0] * 12, float("nan"))), "INVALID_FIGURES"),
        (replace(PAYROLL, months=series(*[1e300] * 12, 1000.0)), "INVALID_FIGURES"),
        (replace(PAYROLL, months=series(*[1000.0] * 12, -5.0)), "NEGATIVE_TOTAL"),
        (replace(PAYROLL, months=series(*[-1000.0] * 12, 500.0)), "NEGATIVE_TOTAL"),
        (with_newest(300_000.0), "PAYROLL_FELL"),
        (replace(PAYROLL, people={**PEOPLE, MARCH: 4}), "TOO_FEW_EMPLOYEES"),
        (replace(PAYROLL, people={month: people - (month < MARCH) for month, people in PEOPLE.items()}), "TOO_FEW_MONTHS"),
    ],
)
def test_what_cannot_be_judged_and_what_fell_is_counted_with_its_reason(figures: CostCentrePayroll, reason: str) -> None:
    detected = payroll.detect([figures, PAYROLL], NOW)
    assert detected.skips == {reason: 1}
    assert len(detected.findings) == 1


def test_a_month_in_which_fewer_than_five_were_paid_has_no_part_in_any_figure() -> None:
    few = replace(PAYROLL, people={**PEOPLE, MARCH - 3: 4})
    values = list(few.months.values)
    values[MARCH - 3 - few.months.first] = None
    assert found(few) == found(replace(few, months=MonthlySeries(few.months.first, tuple(values))))
    assert found(few) != found(PAYROLL)


def test_the_confidence_rises_with_the_score_and_is_never_certain() -> None:
    said = [payroll.confidence(step / 4) for step in range(12, 80)]
    assert said == sorted(said)
    assert (0.5 < said[0] < 0.65, said[-1]) == (True, payroll.MOST_CONFIDENT)
