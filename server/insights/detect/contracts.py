"""Contracts that end or must be given notice of soon, and contracts that will probably go wrong.

`contract_expiring`: the end is at most 90 days away, or the last day for notice at most 30. Its severity is a step for each
situation that asks for another decision, so that days going by bring nothing back that was dismissed within one; a term that
ends on another day is a subject of its own. Its confidence is 1, for a date is a fact and no estimate. Where a model judged the
contract, its risk is told beside the date.

`contract_at_risk`: the model's probability that it goes wrong is at or over the threshold. Severity and confidence are that
calibrated probability: of a hundred contracts with it, so many go wrong.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from server.insights import wording
from server.insights.detect import outcome
from server.insights.detect.drivers import Driver, drivers, sentence
from server.insights.detect.outcome import Detected, Skipped, SkipReason, gathered, is_amount, is_currency, is_probability
from server.insights.model import Action, Finding, InsightType, Priority, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from server.insights.detect.inputs import ContractFigures

DETECTOR = "contracts/1"
END_DAYS = 90
NOTICE_DAYS = 30
RISK_THRESHOLD = 0.5
RISK_LIFETIME = timedelta(days=30)

# Severities of an end or a notice date: each is worse than the one before by far more than what brings a dismissed one back.
TOLD = 0.25
NOTICE_NEAR = 0.5
END_NEAR = 1.0
END_NEAR_DAYS = 14

_URGENT = 0.6
_SOON = 0.3
_LIKELY = 0.7


def detect(contracts: Iterable[ContractFigures], now: datetime, *, risk_threshold: float = RISK_THRESHOLD) -> Detected:
    """At most two findings for each contract.

    Args:
        contracts: those in force.
        now: the time of the run, UTC; its date is the day that deadlines are counted from.
        risk_threshold: probability from which a contract is at risk.

    """
    found: list[Finding | Skipped | None] = []
    for contract in contracts:
        reason = _flaw(contract, now.date())
        subject = _subject(contract)
        if reason is not None:
            found.append(Skipped(reason, subject))
        else:
            found += [_expiring(contract, now, subject), _at_risk(contract, now, subject, risk_threshold)]
    return gathered(found)


def most_at_risk(contracts: Sequence[ContractFigures], now: datetime) -> list[int]:
    """Return the places of the contracts whose risk `detect` tells, the worst first: only they need reasons, which cost most."""
    told = [
        (outcome.rank(outcome.estimated(contract.risk), _risk_until(contract, now), _subject(contract)), place)
        for place, contract in enumerate(contracts)
        if contract.risk is not None and contract.risk >= RISK_THRESHOLD and _flaw(contract, now.date()) is None
    ]
    return [place for _, place in sorted(told)[: outcome.MOST_FINDINGS]]


def _subject(contract: ContractFigures) -> str:
    return f"contract/{contract.key}"


def _flaw(contract: ContractFigures, today: date) -> SkipReason | None:
    if contract.value is not None and not is_amount(contract.value):
        return SkipReason.INVALID_FIGURES
    if contract.risk is not None and not is_probability(contract.risk):
        return SkipReason.INVALID_FIGURES
    if contract.ends is None and contract.risk is None:
        return SkipReason.NO_END_DATE
    if contract.ends is not None and contract.ends < today:
        return SkipReason.CONTRACT_ENDED
    if not (_is_in_order(contract.starts, contract.notice_by) and _is_in_order(contract.notice_by, contract.ends)):
        return SkipReason.INVALID_DATES
    return None


def _is_in_order(first: date | None, second: date | None) -> bool:
    return first is None or second is None or first <= second


def _expiring(contract: ContractFigures, now: datetime, subject: str) -> Finding | None:
    today, ends, notice = now.date(), contract.ends, contract.notice_by
    to_end = None if ends is None else (ends - today).days
    to_notice = None if notice is None or notice < today else (notice - today).days
    by_end = to_end is not None and to_end <= END_DAYS
    by_notice = to_notice is not None and to_notice <= NOTICE_DAYS
    if ends is None or to_end is None or not (by_end or by_notice):
        return None
    nearness = max(
        1 - to_end / END_DAYS if by_end else 0.0,
        1 - to_notice / NOTICE_DAYS if to_notice is not None and by_notice else 0.0,
    )
    title = wording.name(contract.key)
    first = f"Notice for {title} is due" if to_notice is not None and by_notice else _ends_or_renews(contract, title)
    days, on = (to_notice, notice) if to_notice is not None and notice is not None and by_notice else (to_end, ends)
    return Finding(
        insight_type=InsightType.CONTRACT_EXPIRING,
        subject=f"{subject}/{ends.isoformat()}",
        severity=END_NEAR if to_end <= END_NEAR_DAYS else NOTICE_NEAR if by_notice else TOLD,
        title=f"{first} {wording.in_days(days)}, on {wording.day(on)}",
        description=_deadlines(contract, ends, to_end, to_notice),
        confidence=1.0,
        data_points={
            **_facts(contract),
            "daysToEnd": to_end,
            "daysToNotice": to_notice,
        },
        actions=_deadline_actions(contract, to_notice, nearness),
        # What was said of notice is no longer true after its day; the end may still be far.
        expires_at=outcome.end_of_day(ends if by_end or notice is None else notice),
        provenance=_provenance(contract),
    )


def _ends_or_renews(contract: ContractFigures, title: str) -> str:
    if contract.renews_itself is None:
        return f"The term of {title} ends"
    return f"{title} renews itself" if contract.renews_itself else f"{title} ends"


def _deadlines(contract: ContractFigures, ends: date, to_end: int, to_notice: int | None) -> str:
    title = wording.name(contract.key)
    worth = (
        f" It is worth {wording.money(contract.value, contract.currency)}." if _has_value(contract) and contract.value is not None else ""
    )
    how = _RENEWAL[contract.renews_itself]
    notice = ""
    if contract.notice_by is not None and to_notice is not None:
        notice = f" Notice can be given until {wording.day(contract.notice_by)} ({wording.in_days(to_notice)})."
    elif contract.notice_by is not None:
        meaning = ", so that it will go on" if contract.renews_itself else ""
        notice = f" The last day for notice was {wording.day(contract.notice_by)}{meaning}."
    risk = _risk(contract)
    wrong = "" if risk is None else f" The model gives it a risk of {wording.percent(risk)} of going wrong."
    return f"{title} runs to {wording.day(ends)} ({wording.in_days(to_end)}){how}.{notice}{worth}{wrong}"


_RENEWAL = {True: " and renews itself unless notice is given", False: " and does not renew itself", None: ""}


def _deadline_actions(contract: ContractFigures, to_notice: int | None, nearness: float) -> tuple[Action, ...]:
    priority = Priority.HIGH if nearness >= _URGENT else Priority.MEDIUM if nearness >= _SOON else Priority.LOW
    worth = wording.money(contract.value, contract.currency) if _has_value(contract) and contract.value is not None else ""
    if contract.renews_itself and to_notice is None and contract.notice_by is not None:
        decide = Action("Ask the other side for better terms before the next term begins.", priority, f"{worth} renews." if worth else "")
    elif contract.renews_itself:
        by = f" by {wording.day(contract.notice_by)}" if contract.notice_by is not None else ""
        decide = Action(f"Decide{by} whether to keep it, and give notice if not.", priority, f"{worth} renews otherwise." if worth else "")
    else:
        stake = "depends on it" if contract.renews_itself is None else "ends otherwise"
        decide = Action("Decide whether to renew, replace or end it.", priority, f"{worth} {stake}." if worth else "")
    return (decide, Action("Collect what was used and how well it was delivered, for the negotiation.", Priority.LOW))


def _at_risk(contract: ContractFigures, now: datetime, subject: str, threshold: float) -> Finding | None:
    risk = _risk(contract)
    if risk is None or risk < threshold:
        return None
    found = drivers([contract.reasons])
    title = wording.name(contract.key)
    lost = risk * contract.value if contract.value is not None and _has_value(contract) else None
    return Finding(
        insight_type=InsightType.CONTRACT_AT_RISK,
        subject=subject,
        severity=risk,
        title=f"{title} has a risk of {wording.percent(risk)} of going wrong",
        description=_risk_description(contract, risk, threshold, lost, found),
        confidence=risk,
        data_points={
            **_facts(contract),
            "threshold": threshold,
            "valueAtRisk": None if lost is None else round(lost, 2),
            "drivers": [driver.to_json() for driver in found],
        },
        actions=(
            Action(
                "Speak with the other side and agree on what must change.",
                Priority.HIGH if risk >= _LIKELY else Priority.MEDIUM,
                f"Up to {wording.money(lost, contract.currency)}." if lost is not None else "",
            ),
            Action("Prepare an alternative in case it ends.", Priority.MEDIUM),
        ),
        expires_at=_risk_until(contract, now),
        provenance=_provenance(contract),
    )


def _risk_description(contract: ContractFigures, risk: float, threshold: float, lost: float | None, found: list[Driver]) -> str:
    sentences = [
        f"The model gives {wording.name(contract.key)} a probability of {wording.percent(risk)} of going wrong.",
        f"From {wording.percent(threshold)} on a contract is worth attention.",
        f"It runs to {wording.day(contract.ends)}." if contract.ends is not None else "",
        f"That puts {wording.money(lost, contract.currency)} of its {wording.money(contract.value or 0.0, contract.currency)} at risk."
        if lost is not None
        else "",
        sentence(found, "here"),
    ]
    return " ".join(filter(None, sentences))


def _risk(contract: ContractFigures) -> float | None:
    """Return the risk as it may be shown: without the model that made it nobody could answer for it."""
    return None if contract.risk is None or contract.model is None else outcome.estimated(contract.risk)


def _risk_until(contract: ContractFigures, now: datetime) -> datetime:
    latest = now.date() + RISK_LIFETIME
    return outcome.end_of_day(latest if contract.ends is None else min(contract.ends, latest))


def _provenance(contract: ContractFigures) -> Provenance:
    model = contract.model if contract.risk is not None else None
    if model is None:
        return Provenance(DETECTOR, contract.facts_as_of)
    return Provenance(DETECTOR, contract.facts_as_of, model.model_type, model.version)


def _has_value(contract: ContractFigures) -> bool:
    return contract.value is not None and contract.value >= outcome.LEAST_AMOUNT and is_currency(contract.currency)


def _facts(contract: ContractFigures) -> dict[str, object]:
    risk = _risk(contract)
    return {
        "contractKey": contract.key,
        "endDate": None if contract.ends is None else contract.ends.isoformat(),
        "noticeDate": None if contract.notice_by is None else contract.notice_by.isoformat(),
        "autoRenews": contract.renews_itself,
        "value": None if contract.value is None or not _has_value(contract) else round(contract.value, 2),
        "currency": contract.currency if _has_value(contract) else "",
        "riskProbability": None if risk is None else round(risk, 4),
    }
