from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from server.insights.detect import turnover
from server.insights.detect.drivers import drivers
from server.insights.detect.inputs import FlaggedEmployee, Reason, TurnoverFigures
from server.insights.model import Category, Finding, Priority
from server.stats.turnover import HeadcountMonth, turnover_rate
from tests.insights_detect.figures import FLAGGED, NOW, TURNOVER


def found(figures: TurnoverFigures) -> Finding:
    (finding,) = turnover.detect(figures, NOW).findings
    return finding


def many(count: int, probability: float = 0.6) -> tuple[FlaggedEmployee, ...]:
    return tuple(FlaggedEmployee(f"key-{place:04}", probability + place / 10_000) for place in range(count))


def test_the_data_points_have_the_names_and_numbers_of_the_contract() -> None:
    finding = found(TURNOVER)
    points = finding.data_points
    assert points["affectedEmployeeCount"] == 3
    assert points["employees"] == ["8f3a", "11c0", "77de"]
    assert points["turnoverRateTrailing12m"] == pytest.approx(6 / 46.375, abs=1e-4)
    assert (points["headcount"], points["threshold"]) == (48, 0.5)
    assert points["drivers"] == [
        {"feature": "over_time", "label": "overtime", "direction": "increases", "share": 0.667},
        {"feature": "monthly_income", "label": "monthly pay", "direction": "increases", "share": 0.2},
        {"feature": "distance_from_home", "label": "distance from home", "direction": "increases", "share": 0.133},
    ]
    assert finding.category is Category.HR
    assert finding.confidence == pytest.approx((0.82 + 0.64 + 0.58) / 3)
    json.dumps(points, allow_nan=False)


def test_pseudonyms_stand_nowhere_but_in_the_list_of_employees() -> None:
    flagged = tuple(replace(employee, pseudonym=f"canary-{employee.pseudonym}") for employee in FLAGGED)
    finding = found(replace(TURNOVER, flagged=flagged))
    rest = {name: value for name, value in finding.data_points.items() if name != "employees"}
    text = repr((finding.title, finding.description, finding.subject, finding.actions, rest))
    assert "canary" not in text
    assert "canary" in repr(finding.data_points["employees"])


def test_at_most_fifty_pseudonyms_are_told_the_riskiest_first() -> None:
    finding = found(replace(TURNOVER, headcount=400, flagged=many(120)))
    assert finding.data_points["employees"] == [f"key-{place:04}" for place in range(119, 69, -1)]
    assert finding.data_points["affectedEmployeeCount"] == 120
    assert finding.actions[0].priority is Priority.HIGH


def test_at_most_five_are_explained_and_a_feature_that_pulls_both_ways_is_no_driver() -> None:
    reasons = (Reason("over_time", 0.5), Reason("job_level", -0.5))
    flagged = tuple(replace(employee, reasons=reasons) for employee in many(12))
    assert found(replace(TURNOVER, flagged=flagged)).data_points["explainedEmployeeCount"] == 5
    assert (
        drivers([[Reason("a", 1.0), Reason("b", 0.5)], [Reason("a", -1.0), Reason("b", 0.5), Reason("c", float("nan"))]])[0].feature == "b"
    )
    assert len(drivers([[Reason("a", 1.0), Reason("a", -1.0)]])) == 0


def test_severity_grows_with_every_flagged_employee_and_every_probability() -> None:
    fewer = found(replace(TURNOVER, flagged=FLAGGED[:2]))
    surer = found(replace(TURNOVER, flagged=(*FLAGGED[:2], replace(FLAGGED[2], probability=0.9))))
    assert fewer.severity < found(TURNOVER).severity < surer.severity


def test_a_rate_that_is_drawn_out_says_so_and_a_missing_one_is_left_out() -> None:
    short = found(replace(TURNOVER, rate=turnover_rate([HeadcountMonth(46, 1)] * 4)))
    assert "Turnover annualized from 4 known months is 26.1% (4 leavers, 46 employees on average" in short.description
    none = found(replace(TURNOVER, rate=None))
    assert "Turnover" not in none.description
    assert none.data_points["turnoverRateTrailing12m"] is None


def test_without_pay_or_currency_no_cost_is_made_up() -> None:
    for figures in (replace(TURNOVER, monthly_pay=None), replace(TURNOVER, currency=""), replace(TURNOVER, monthly_pay=0.0)):
        finding = found(figures)
        assert finding.data_points["replacementCostPerLeaver"] is None
        assert not any("saves" in action.estimated_impact or "cost" in action.estimated_impact for action in finding.actions)


@pytest.mark.parametrize(("pay", "cost"), [(5_400.0, 32_000.0), (5_512.37, 33_000.0), (16_666.0, 100_000.0), (1.0, 6.0)])
def test_costs_are_told_with_two_digits_wherever_they_are_shown(pay: float, cost: float) -> None:
    finding = found(replace(TURNOVER, monthly_pay=pay))
    assert finding.data_points["replacementCostPerLeaver"] == cost
    shown = [figure for action in finding.actions for figure in re.findall(r"EUR ([\d,.]*\d)", action.estimated_impact)]
    assert [len(figure.replace(",", "").removesuffix(".00").rstrip("0")) <= 2 for figure in shown] == [True, True]


@pytest.mark.parametrize(
    ("figures", "skips"),
    [
        (replace(TURNOVER, headcount=0, flagged=()), {"NO_EMPLOYEES": 1}),
        (replace(TURNOVER, headcount=1, flagged=FLAGGED[:1]), {"TOO_FEW_EMPLOYEES": 1}),
        (replace(TURNOVER, headcount=4), {"TOO_FEW_EMPLOYEES": 1}),
        (replace(TURNOVER, headcount=5, flagged=many(6)), {"INVALID_FIGURES": 1}),
        (replace(TURNOVER, flagged=(FlaggedEmployee("a", float("nan")),)), {"INVALID_FIGURES": 1}),
        (replace(TURNOVER, threshold=float("nan")), {"INVALID_FIGURES": 1}),
        (replace(TURNOVER, flagged=()), {}),
    ],
)
def test_what_cannot_be_judged_is_counted_with_its_reason(figures: TurnoverFigures, skips: dict[str, int]) -> None:
    detected = turnover.detect(figures, NOW)
    assert (detected.findings, detected.skips) == ((), skips)


def test_the_fingerprint_is_the_same_every_night_whatever_the_figures() -> None:
    tonight = found(TURNOVER)
    (tomorrow,) = turnover.detect(replace(TURNOVER, flagged=FLAGGED[:1]), NOW + timedelta(days=1)).findings
    assert tonight.fingerprint == tomorrow.fingerprint
    assert tonight.expires_at < tomorrow.expires_at
