"""What a manager reads, word for word, for one made-up organization."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from server.insights.detect import budget, contracts, payroll, performance, turnover
from server.insights.model import Finding, InsightType
from tests.insights_detect.figures import AS_OF, BUDGET, CONTRACT, NOW, PAYROLL, TEAM, TURNOVER

if TYPE_CHECKING:
    from server.insights.detect.outcome import Detected


def only(detected: Detected, insight_type: InsightType) -> Finding:
    (found,) = [finding for finding in detected.findings if finding.insight_type is insight_type]
    return found


def actions(finding: Finding) -> list[str]:
    return [f"{action.priority}: {action.action} {action.estimated_impact}".rstrip() for action in finding.actions]


def test_high_turnover_risk() -> None:
    found = only(turnover.detect(TURNOVER, NOW), InsightType.HIGH_TURNOVER_RISK)
    assert found.title == "3 of 48 employees are at high risk of leaving"
    assert found.description == (
        "The model gives 3 employees (6.2% of 48) a probability of 50% or more of leaving within twelve months. "
        "About 2 of them can be expected to leave. "
        "Turnover over the last twelve months is 12.9% (6 leavers, 46.4 employees on average, 95% interval 6.1% to 25.5%). "
        "What raises the risk most among the 2 looked at closely: overtime, monthly pay and distance from home."
    )
    assert actions(found) == [
        (
            "medium: Hold a conversation about staying with the 3 flagged employees, those at highest risk first. "
            "About 2 can be expected to leave otherwise. Each leaver kept saves about EUR 32,000 (half a year's pay)."
        ),
        "medium: Look into overtime, the strongest common driver. 66.7% of what raises the risk in the cases looked at closely.",
        "low: Plan cover and hand-over for the posts that would be hardest to fill. Replacing about 2 leavers would cost about EUR 65,000.",
    ]
    assert (found.subject, found.expires_at) == ("organization", datetime(2026, 4, 10, 3, 0, tzinfo=UTC))
    assert (found.provenance.model_version, found.provenance.facts_as_of) == ("1.4.0", AS_OF)


def test_payroll_cost_spike() -> None:
    found = only(payroll.detect([PAYROLL], NOW), InsightType.PAYROLL_COST_SPIKE)
    assert found.title == "Payroll of Sales in March 2026 is 14% above what was expected"
    assert found.description == (
        "Sales paid EUR 495,000 in March 2026. The 29 months known before lead one to expect EUR 434,191, "
        "and as a rule something between EUR 426,291 and EUR 442,091. "
        "The difference of EUR 60,809 is 16.5 times the usual scatter of EUR 3,691 a month."
    )
    assert actions(found) == [
        (
            "high: Check the payroll entries of the month for double bookings, back pay, bonuses and overtime. "
            "EUR 60,809 to be explained or recovered."
        ),
        "medium: Compare hires and pay changes of the month with what was approved. If it is a new level, EUR 729,709 a year.",
        "low: Bring the forecast of the cost centre up to date if the increase is meant to stay.",
    ]
    assert (found.subject, found.expires_at) == ("cost_centre/Sales/EUR/2026-03", datetime(2026, 5, 8, tzinfo=UTC))


def test_budget_overrun() -> None:
    found = only(budget.detect([BUDGET], NOW), InsightType.BUDGET_OVERRUN)
    assert found.title == "Marketing will probably exceed its budget by EUR 58,105"
    assert found.description == (
        "Marketing has a budget of EUR 1,200,000 for the year to December 2026. "
        "EUR 345,000 (28.7%) was spent by the end of March 2026. "
        "With the forecast for the 9 months left, the year is expected to end at EUR 1,254,000, "
        "four times in five between EUR 1,186,918 and EUR 1,321,082. "
        "The probability of ending over budget is 84.9%. The expected overrun is EUR 58,105 (4.8% of the budget)."
    )
    assert actions(found) == [
        (
            "medium: Hold back spending that is not committed yet. EUR 6,000 less a month than forecast, "
            "on average over the 9 months left, would end the year on budget."
        ),
        "medium: Decide early whether to move budget from elsewhere or to accept the overrun. EUR 58,105 to be covered.",
        "low: Check the largest open orders against the forecast.",
    ]
    assert (found.subject, found.expires_at) == ("budget/Marketing/EUR/2026-12", datetime(2026, 5, 8, tzinfo=UTC))


def test_contract_expiring() -> None:
    found = only(contracts.detect([CONTRACT], NOW), InsightType.CONTRACT_EXPIRING)
    assert found.title == "Notice for Office cleaning is due in 12 days, on 15 April 2026"
    assert found.description == (
        "Office cleaning runs to 30 June 2026 (in 88 days) and renews itself unless notice is given. "
        "Notice can be given until 15 April 2026 (in 12 days). It is worth EUR 48,000. "
        "The model gives it a risk of 72% of going wrong."
    )
    assert actions(found) == [
        "high: Decide by 15 April 2026 whether to keep it, and give notice if not. EUR 48,000 renews otherwise.",
        "low: Collect what was used and how well it was delivered, for the negotiation.",
    ]
    assert (found.subject, found.expires_at) == ("contract/Office cleaning/2026-06-30", datetime(2026, 7, 1, tzinfo=UTC))


def test_contract_at_risk() -> None:
    found = only(contracts.detect([CONTRACT], NOW), InsightType.CONTRACT_AT_RISK)
    assert found.title == "Office cleaning has a risk of 72% of going wrong"
    assert found.description == (
        "The model gives Office cleaning a probability of 72% of going wrong. From 50% on a contract is worth attention. "
        "It runs to 30 June 2026. That puts EUR 34,560 of its EUR 48,000 at risk. What raises the risk most here: late deliveries."
    )
    assert actions(found) == [
        "high: Speak with the other side and agree on what must change. Up to EUR 34,560.",
        "medium: Prepare an alternative in case it ends.",
    ]
    assert (found.provenance.model_type, found.provenance.model_version) == ("contract_risk", "1.0.0")
    assert found.expires_at == datetime(2026, 5, 4, tzinfo=UTC)


def test_performance_decline() -> None:
    found = only(performance.detect([TEAM], NOW), InsightType.PERFORMANCE_DECLINE)
    assert found.title == "Review scores of Support fell by 0.77 points to 3.1"
    assert found.description == (
        "In the period to 28 December 2025, 12 reviews of 12 people in Support average 3.1 on a scale from 1 to 5. "
        "The 36 reviews before averaged 3.87. The probability that this is more than chance is 99%. "
        "Over all periods scores fell by 0.18 points from one to the next."
    )
    assert actions(found) == [
        (
            "high: Ask the team and its manager what changed since the reviews before the period to 28 December 2025. "
            "0.77 points to win back for 12 people."
        ),
        "medium: Compare workload, staffing and goals of the two periods.",
        "low: Check that the reviews were made by the same standards.",
    ]
    assert (found.subject, found.expires_at) == ("team/Support", datetime(2026, 4, 10, 3, 0, tzinfo=UTC))
