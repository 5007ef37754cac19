from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from server.insights.detect import contracts
from server.insights.detect.inputs import ContractFigures
from server.insights.model import Finding, InsightType, Priority
from server.insights.outcome import worse
from tests.insights_detect.figures import CONTRACT, NOW

TODAY = NOW.date()
PLAIN = ContractFigures("C-9", TODAY + timedelta(days=40), CONTRACT.facts_as_of)


def findings(figures: ContractFigures) -> dict[InsightType, Finding]:
    return {finding.insight_type: finding for finding in contracts.detect([figures], NOW).findings}


def expiring(figures: ContractFigures) -> Finding | None:
    return findings(figures).get(InsightType.CONTRACT_EXPIRING)


@pytest.mark.parametrize(("days", "told"), [(0, True), (1, True), (90, True), (91, False), (400, False)])
def test_an_end_is_told_from_ninety_days_before(days: int, told: bool) -> None:  # noqa: FBT001 - a parameter of the table above
    assert (expiring(replace(PLAIN, ends=TODAY + timedelta(days=days))) is not None) is told


@pytest.mark.parametrize(("days", "told"), [(0, True), (30, True), (31, False), (-1, False)])
def test_a_last_day_for_notice_is_told_from_thirty_days_before(days: int, told: bool) -> None:  # noqa: FBT001 - as above
    notice = TODAY + timedelta(days=days)
    finding = expiring(replace(PLAIN, ends=TODAY + timedelta(days=300), notice_by=notice))
    assert (finding is not None) is told
    if finding is not None:
        assert finding.expires_at.date() == notice + timedelta(days=1)


def test_the_nearer_the_more_severe_and_the_more_urgent() -> None:
    told = [expiring(replace(PLAIN, ends=TODAY + timedelta(days=days))) for days in (80, 50, 10, 0)]
    severities = [finding.severity for finding in told if finding is not None]
    assert severities == sorted(severities)
    assert severities[-1] == 1
    assert [finding.actions[0].priority for finding in told if finding is not None] == [
        Priority.LOW,
        Priority.MEDIUM,
        Priority.HIGH,
        Priority.HIGH,
    ]


def returns(figures: ContractFigures, since: date) -> list[int]:
    """Dismiss what is found on a day and again whenever it comes back; on which days before the end it does."""
    assert figures.ends is not None
    found: list[int] = []
    dismissed: float | None = None
    for left in range((figures.ends - since).days, -1, -1):
        night = NOW + (figures.ends - timedelta(days=left) - TODAY)
        for finding in contracts.detect([figures], night).findings:
            if dismissed is not None and worse(finding.severity, dismissed):
                found.append(left)
            if dismissed is None or left in found:
                dismissed = finding.severity
    return found


@pytest.mark.parametrize(
    ("notice", "expected"),
    [(None, [14]), (40, [70, 14]), (20, [50, 14]), (10, [40, 14]), (84, [14])],
    ids=str,
)
def test_a_dismissed_end_comes_back_when_notice_is_due_within_thirty_days_and_when_the_end_is_within_fourteen_and_on_no_other_day(
    notice: int | None, expected: list[int]
) -> None:
    ends = TODAY + timedelta(days=85)
    by = None if notice is None else ends - timedelta(days=notice)
    assert returns(replace(PLAIN, ends=ends, notice_by=by), TODAY) == expected


def test_an_end_that_is_first_told_is_worse_than_nothing() -> None:
    told = expiring(replace(PLAIN, ends=TODAY + timedelta(days=90)))
    assert told is not None
    assert told.severity > 0


def test_another_end_is_another_subject_and_another_day_for_notice_is_not() -> None:
    ends, notice = TODAY + timedelta(days=40), TODAY + timedelta(days=35)
    first, moved, renewed = (
        expiring(replace(PLAIN, ends=each, notice_by=by)) for each, by in ((ends, None), (ends, notice), (ends + timedelta(days=9), None))
    )
    assert first is not None
    assert moved is not None
    assert renewed is not None
    assert (moved.fingerprint == first.fingerprint, renewed.fingerprint == first.fingerprint) == (True, False)


def test_a_contract_that_renews_itself_after_the_last_day_for_notice_says_so() -> None:
    finding = expiring(replace(CONTRACT, notice_by=TODAY - timedelta(days=1), risk=None))
    assert finding is not None
    assert finding.title == "Office cleaning renews itself in 88 days, on 30 June 2026"
    assert "The last day for notice was 2 April 2026, so that it will go on." in finding.description
    assert finding.actions[0].action == "Ask the other side for better terms before the next term begins."


def test_where_nobody_told_whether_it_renews_itself_nothing_is_said_of_it() -> None:
    untold, no = (
        expiring(replace(CONTRACT, notice_by=None, ends=TODAY + timedelta(days=40), renews_itself=told)) for told in (None, False)
    )
    assert untold is not None
    assert no is not None
    assert untold.title == "The term of Office cleaning ends in 40 days, on 13 May 2026"
    assert untold.data_points["autoRenews"] is None
    assert "renew itself" not in untold.description
    assert "otherwise" not in untold.actions[0].estimated_impact
    assert "does not renew itself" in no.description
    assert "ends otherwise" in no.actions[0].estimated_impact


def test_without_value_or_currency_no_amount_is_told() -> None:
    for figures in (
        replace(CONTRACT, value=None),
        replace(CONTRACT, currency="?"),
        replace(CONTRACT, value=0.0),
        replace(CONTRACT, value=-5.0),
    ):
        told = findings(figures)
        assert set(told) == {InsightType.CONTRACT_EXPIRING, InsightType.CONTRACT_AT_RISK}
        for finding in told.values():
            assert finding.data_points["value"] is None
            assert "EUR" not in repr((finding.description, finding.actions))


def test_risk_is_told_from_the_threshold_on() -> None:
    for risk, told in ((0.49, False), (0.5, True), (1.0, True)):
        assert (InsightType.CONTRACT_AT_RISK in findings(replace(CONTRACT, risk=risk))) is told
    assert contracts.detect([CONTRACT], NOW, risk_threshold=0.9).findings[0].insight_type is InsightType.CONTRACT_EXPIRING
    assert findings(replace(CONTRACT, risk=0.9))[InsightType.CONTRACT_AT_RISK].severity > 0.72


def test_an_end_is_told_with_its_risk_however_small_and_with_the_model_that_judged_it() -> None:
    told = findings(replace(CONTRACT, risk=0.031))
    assert set(told) == {InsightType.CONTRACT_EXPIRING}
    finding = told[InsightType.CONTRACT_EXPIRING]
    assert finding.data_points["riskProbability"] == 0.031
    assert finding.description.endswith("The model gives it a risk of 3.1% of going wrong.")
    assert (finding.provenance.model_type, finding.provenance.model_version) == ("contract_risk", "1.0.0")


@pytest.mark.parametrize("unjudged", [replace(CONTRACT, model=None), replace(CONTRACT, risk=None, model=None)])
def test_a_risk_without_its_model_is_not_told(unjudged: ContractFigures) -> None:
    told = findings(unjudged)
    assert set(told) == {InsightType.CONTRACT_EXPIRING}
    finding = told[InsightType.CONTRACT_EXPIRING]
    assert finding.data_points["riskProbability"] is None
    assert "risk" not in finding.description
    assert finding.provenance.model_type == ""


def test_an_open_end_can_be_at_risk_but_not_expire() -> None:
    told = findings(replace(CONTRACT, ends=None, notice_by=None))
    assert set(told) == {InsightType.CONTRACT_AT_RISK}
    assert told[InsightType.CONTRACT_AT_RISK].expires_at.date() == TODAY + timedelta(days=31)


def test_the_two_kinds_of_one_contract_have_fingerprints_of_their_own_and_keep_them() -> None:
    told = findings(CONTRACT)
    assert len({finding.fingerprint for finding in told.values()}) == 2
    later = contracts.detect([replace(CONTRACT, risk=0.9, value=1.0)], NOW + timedelta(days=5))
    assert {finding.fingerprint for finding in later.findings} == {finding.fingerprint for finding in told.values()}


def test_the_data_points_are_plain_json() -> None:
    for finding in findings(CONTRACT).values():
        assert json.loads(json.dumps(finding.data_points, allow_nan=False))["endDate"] == "2026-06-30"


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (replace(PLAIN, ends=None), "NO_END_DATE"),
        (replace(PLAIN, ends=TODAY - timedelta(days=1)), "CONTRACT_ENDED"),
        (replace(PLAIN, notice_by=TODAY + timedelta(days=41)), "INVALID_DATES"),
        (replace(PLAIN, starts=TODAY - timedelta(days=9), notice_by=TODAY - timedelta(days=10)), "INVALID_DATES"),
        (replace(PLAIN, value=float("nan")), "INVALID_FIGURES"),
        (replace(PLAIN, risk=1.2), "INVALID_FIGURES"),
        (replace(PLAIN, risk=float("nan")), "INVALID_FIGURES"),
    ],
)
def test_what_cannot_be_judged_is_counted_with_its_reason(figures: ContractFigures, reason: str) -> None:
    detected = contracts.detect([figures], NOW)
    assert (detected.findings, detected.skips) == ((), {reason: 1})


def test_the_last_day_of_the_calendar_is_no_trouble() -> None:
    assert findings(replace(CONTRACT, ends=date.max, notice_by=date.max))
