"""One organization's night, from evidence to findings; computes and touches no database."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from server.insights.detect import contracts, payroll, performance, turnover
from server.insights.detect.inputs import FlaggedEmployee, TurnoverFigures
from server.insights.detect.outcome import SkipReason
from server.insights.evidence.model import EPOCH_ORDINAL
from server.insights.figures import agreements, money, staff
from server.insights.figures.contributions import contributions, main_currency
from server.insights.model import InsightType
from workers.nightly import outlook, risks

if TYPE_CHECKING:
    from datetime import datetime

    from server.benchmarks.model import OrganizationMetric
    from server.insights.detect.outcome import Detected
    from server.insights.evidence.model import Evidence
    from server.insights.model import Finding
    from server.ml.scoring import Scorer
    from server.stats.turnover import TurnoverRate
    from workers.nightly.models import Models, Ready

FLAGGED_FROM = 0.5
"""Probability from which an employee is flagged: leaving within twelve months is likelier than staying."""

NO_ACTIVE_MODEL = "NO_ACTIVE_MODEL"


@dataclass(slots=True)
class Night:
    """What came of it.

    Args:
        findings: what there is to say.
        judged: types that were looked for, so that an insight of them that was not found again is over.
        skipped: what could not be judged, by reason.
        contributions: values for the benchmarks.

    """

    findings: list[Finding] = field(default_factory=list)
    judged: set[InsightType] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    contributions: list[OrganizationMetric] = field(default_factory=list)

    def take(self, detected: Detected, *types: InsightType) -> None:
        """Add what a detector found."""
        self.findings += detected.findings
        self.judged.update(types)
        self.skipped.update(detected.skips)


def is_empty(evidence: Evidence) -> bool:
    """Whether an organization has no facts at all that a night could use."""
    workforce, known = evidence.workforce, (evidence.payroll, evidence.contracts, evidence.spend, evidence.reviews)
    return not (
        workforce.keys
        or workforce.strangers
        or any(known)
        or evidence.ended.ended
        or evidence.scores.people
        or evidence.scores.without_scale
    )


def judge(evidence: Evidence, models: Models, now: datetime) -> Night:
    """Look for everything in one organization's facts."""
    night, today = Night(), now.date()
    months = staff.headcounts(evidence.workforce, today)
    rate = staff.rate(evidence.workforce, months)
    for made in contributions(evidence, months, rate, today):
        if isinstance(made, SkipReason):
            night.skipped[made.value] += 1
        else:
            night.contributions.append(made)
    night.skipped += Counter({SkipReason.UNKNOWN_LEAVER.value: evidence.workforce.strangers})
    if evidence.workforce.keys:
        night.skipped += Counter({SkipReason.NO_EXITS.value: not staff.has_exits(evidence.workforce)})
        night.skipped += Counter({SkipReason.EXIT_BEFORE_START.value: staff.early_exits(evidence.workforce)})
        _judge_staff(night, evidence, models.turnover, rate, now)
    else:
        night.judged.add(InsightType.HIGH_TURNOVER_RISK)
    night.take(payroll.detect(money.payrolls(evidence.payroll, today), now), InsightType.PAYROLL_COST_SPIKE)
    outlook.judge_budgets(night, evidence, models, now)
    _judge_contracts(night, evidence, models.contract_risk, now)
    teams, of_other_scales = agreements.team_reviews(evidence.reviews)
    night.take(performance.detect(teams, now), InsightType.PERFORMANCE_DECLINE)
    night.skipped += Counter({SkipReason.OTHER_SCALE.value: of_other_scales})
    return night


def _judge_staff(night: Night, evidence: Evidence, ready: Ready[Scorer] | None, rate: TurnoverRate | None, now: datetime) -> None:
    if ready is None:
        night.skipped[NO_ACTIVE_MODEL] += 1
        return
    workforce = evidence.workforce
    places = staff.present(workforce)
    flagged = list[FlaggedEmployee]()
    if len(places) >= turnover.FEWEST_EMPLOYEES:
        flagged = risks.flagged_employees(ready.model, workforce, places, FLAGGED_FROM)
    figures = TurnoverFigures(
        headcount=len(places),
        threshold=FLAGGED_FROM,
        flagged=tuple(flagged),
        rate=rate,
        model=ready.used,
        facts_as_of=date.fromordinal(int(np.max(workforce.last_seen)) + EPOCH_ORDINAL),
        monthly_pay=staff.mean_pay(workforce, places),
        currency=main_currency([row.currency for row in evidence.payroll]),
    )
    night.take(turnover.detect(figures, now), InsightType.HIGH_TURNOVER_RISK)


def _judge_contracts(night: Night, evidence: Evidence, ready: Ready[Scorer] | None, now: datetime) -> None:
    """Dates are looked at without a model too; risks are not, and then no earlier one is taken back."""
    if ready is not None:
        figures = risks.contract_figures(ready, evidence.contracts, now)
        night.take(contracts.detect(figures, now), InsightType.CONTRACT_EXPIRING, InsightType.CONTRACT_AT_RISK)
        return
    if evidence.contracts:
        night.skipped[NO_ACTIVE_MODEL] += 1
    night.take(
        contracts.detect([agreements.contract_figures(each, None) for each in evidence.contracts], now), InsightType.CONTRACT_EXPIRING
    )
