"""Erase facts together with everything that was made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.benchmarks import store as benchmarks
from server.events.model import Cause
from server.facts import store as facts
from server.facts.load import erase_facts
from server.facts.model import FactSet, Subject
from server.insights import store
from server.insights.forget import BUDGETS, CONTRACTS, DECLINES, SPIKES, forget_about, forget_employee, forget_types
from server.insights.model import InsightType

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from server.audit.model import Origin
    from server.db import Tx
    from server.facts.model import Erasure

INSIGHTS_OF: Mapping[FactSet, Collection[InsightType]] = {
    FactSet.EMPLOYEES: (InsightType.HIGH_TURNOVER_RISK,),
    FactSet.EMPLOYEE_EXITS: (InsightType.HIGH_TURNOVER_RISK,),
    FactSet.PAYROLL_ENTRIES: (*SPIKES.types, InsightType.HIGH_TURNOVER_RISK),
    FactSet.CONTRACTS: CONTRACTS.types,
    FactSet.SPEND_ENTRIES: BUDGETS.types,
    FactSet.PERFORMANCE_REVIEWS: (InsightType.PERFORMANCE_DECLINE,),
}
"""What is made of each fact set; pay has a part in what turnover is said to cost."""

METRICS_OF: Mapping[FactSet, Collection[str]] = {
    FactSet.EMPLOYEES: ("employee_turnover_rate", "payroll_cost_per_employee"),
    FactSet.EMPLOYEE_EXITS: ("employee_turnover_rate", "payroll_cost_per_employee"),
    FactSet.PAYROLL_ENTRIES: ("payroll_cost_per_employee",),
    FactSet.CONTRACTS: ("contract_renewal_rate", "average_contract_value"),
    FactSet.SPEND_ENTRIES: ("budget_variance_pct",),
    FactSet.PERFORMANCE_REVIEWS: ("average_performance_score",),
}
"""What is contributed to benchmarks from each fact set; headcounts are counted without those who left."""


async def erase(tx: Tx, origin: Origin, fact_set: FactSet | None, erasure: Erasure) -> int:
    """Erase a subject or everything as `erase_facts` does, with what insights and benchmarks hold of it; returns the rows of facts.

    A fact set that is erased takes its insights and the values it contributed along. Insights in which a subject has a part are
    deleted, and the next run finds them without it. Values that are sums over many stay until that run, which computes this month's
    anew and deletes all others: without them a large organization would miss a release over one erased employee. A run that read the
    facts before does not write what it made of them (`Turn.erasures`).

    Raises:
        AnalyticsError: as `erase_facts`.

    """
    org, cause = origin.org, Cause(origin.request_id, "")
    await store.take_turn(tx, org)
    # Asked before they are gone: insights know contracts, cost centres and teams, not who is on the other side, was paid or reviewed.
    contracts = await facts.contracts_with(tx, org, erasure.key) if erasure.subject is Subject.COUNTERPARTY else [erasure.key]
    centres = await facts.cost_centres_of(tx, org, erasure.key) if erasure.subject is Subject.EMPLOYEE else []
    reviewed = erasure.subject is Subject.EMPLOYEE and fact_set in (None, FactSet.PERFORMANCE_REVIEWS)
    teams = await facts.teams_of(tx, org, erasure.key) if reviewed else []
    deleted = await erase_facts(tx, origin, fact_set, erasure)
    match erasure.subject:
        case Subject.EMPLOYEE:
            await forget_employee(tx, org, erasure.key, cause)
            await forget_about(tx, org, SPIKES, centres, cause)
            await forget_about(tx, org, DECLINES, teams, cause)
        case Subject.CONTRACT | Subject.COUNTERPARTY:
            await forget_about(tx, org, CONTRACTS, contracts, cause)
        case Subject.UNIT:
            await forget_about(tx, org, BUDGETS, [erasure.key], cause)
        case None if fact_set is not None:
            await forget_types(tx, org, INSIGHTS_OF[fact_set], cause)
            await benchmarks.forget_metrics(tx, org, METRICS_OF[fact_set])
    return deleted
