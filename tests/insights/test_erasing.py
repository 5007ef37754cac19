"""Erasing facts over the wire: what insights and benchmarks hold of them goes in the same transaction."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import fact_service_pb2 as facts
from analytics.v1 import insights_pb2 as pb

from server.benchmarks import store as benchmarks
from server.benchmarks.catalogue import METRICS
from server.benchmarks.model import OrganizationMetric
from server.facts.load import erase_facts
from server.facts.model import FactSet
from server.identity import OrgId
from server.insights import erase as erasing
from server.insights.model import CATEGORY_OF, InsightType
from tests.support import live, made_facts
from tests.support.insights import finding, recorded
from tests.support.leftovers import rows_of, superuser
from tests.support.loading import load, load_batches
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from server.audit.model import Origin
    from server.db import Tx
    from server.facts.model import Erasure
    from server.insights.model import Finding
    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("insights erasing")

FLAGGED = finding(
    "organization",
    insight_type=InsightType.HIGH_TURNOVER_RISK,
    title="3 of 40 employees are at high risk of leaving",
    data_points={"affectedEmployeeCount": 3, "employees": ["e-1", "e-2", "person-12"], "drivers": [{"feature": "over_time"}]},
)


def about(kind: InsightType, subject: str, **data_points: str) -> Finding:
    """A finding that is titled by its subject."""
    return finding(subject, insight_type=kind, title=subject, data_points=data_points)


SPIKE = about(InsightType.PAYROLL_COST_SPIKE, "cost_centre/Sales", costCentre="Sales")
BUDGET = about(InsightType.BUDGET_OVERRUN, "budget/u-1/EUR/2026", budgetName="u-1", currency="EUR")
OTHER_BUDGET = about(InsightType.BUDGET_OVERRUN, "budget/u-2/EUR/2026", budgetName="u-2", currency="EUR")
EXPIRING = about(InsightType.CONTRACT_EXPIRING, "contract/c-2", contractKey="c-2")
AT_RISK = about(InsightType.CONTRACT_AT_RISK, "contract/c-3", contractKey="c-3")
OTHER_CONTRACT = about(InsightType.CONTRACT_EXPIRING, "contract/c-4", contractKey="c-4")
DECLINE = about(InsightType.PERFORMANCE_DECLINE, "team/u-1", team="u-1")
ALL = [FLAGGED, SPIKE, BUDGET, OTHER_BUDGET, EXPIRING, AT_RISK, OTHER_CONTRACT, DECLINE]
TEAM = "Sales"
"""Of all reviews that are made up."""
EVENTS = """
SELECT payload->>'insight_id' AS id, (payload->>'revision')::int AS revision
FROM (SELECT org_id, type, payload FROM outbox UNION ALL SELECT org_id, type, payload FROM events) told
WHERE org_id = $1 AND type = 'insight.updated'
"""


async def listed(service: Service, org: str) -> list[pb.Insight]:
    """What the organization is shown."""
    return list((await service.analytics.GetInsights(pb.GetInsightsRequest(page_size=100), metadata=live.bearer(org))).insights)


async def erase(service: Service, org: str, request: facts.DeleteFactsRequest) -> int:
    """Erase over the wire."""
    return (await service.facts.DeleteFacts(request, metadata=live.bearer(org))).deleted


async def stored(cluster: Cluster, service: Service, org: str) -> bytes:
    """Every byte of the organization's insights and what is told of them, as text and as messages."""
    async with superuser(cluster, service) as connection:
        rows = await connection.fetch("SELECT i::text AS shown, message FROM insights i WHERE org_id = $1", org)
        told = await connection.fetch("SELECT o::text AS shown, ''::bytea AS message FROM outbox o WHERE org_id = $1", org)
    return b"".join(row["shown"].encode() + row["message"] for row in [*rows, *told])


async def viewed(service: Service, org: str) -> None:
    """View everything."""
    request = pb.MarkInsightsViewedRequest(insight_ids=[each.id for each in await listed(service, org)])
    await service.analytics.MarkInsightsViewed(request, metadata=live.bearer(org))


async def test_an_erased_employee_takes_the_insights_of_him_his_cost_centres_and_his_team_along_and_nobody_elses(
    cluster: Cluster, shared: Service, org: str
) -> None:
    made = [about(InsightType.PAYROLL_COST_SPIKE, f"cost_centre/{name}", costCentre=name) for name in ("4711", "4712")]
    made += [about(InsightType.PERFORMANCE_DECLINE, f"team/{name}", team=name) for name in (TEAM, f"{TEAM}2")]
    await load_batches(
        shared, live.bearer(org), *(made_facts.made(name, 3) for name in ("employees", "payroll_entries", "performance_reviews"))
    )
    for each in (org, f"{org}-b"):
        await recorded(shared.app.db, each, [*ALL, *made])
    before = {each.id: each for each in await listed(shared, org)}
    neighbour = await listed(shared, f"{org}-b")
    assert await erase(shared, org, facts.DeleteFactsRequest(employee_key="e-1")) == 3
    left = {each.id: each for each in await listed(shared, org)}
    assert left.items() <= before.items()
    gone = [each for each in before.values() if each.id not in left]
    assert {each.title for each in gone} == {FLAGGED.title, "cost_centre/4711", f"team/{TEAM}"}
    at_rest = await stored(cluster, shared, org)
    assert (b'"e-1"' in at_rest, b"\x1a\x03e-1" in at_rest) == (False, False)
    assert (b"cost_centre/4711" in at_rest, b"cost_centre/4712" in at_rest) == (False, True)
    assert await listed(shared, f"{org}-b") == neighbour
    async with superuser(cluster, shared) as connection:
        told = {tuple(row) for row in await connection.fetch(EVENTS, org)}
    assert told == {(each.id, each.revision + 1) for each in gone}


async def test_a_dismissed_insight_that_lists_an_erased_employee_is_deleted_too(cluster: Cluster, shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [FLAGGED])
    (shown,) = await listed(shared, org)
    await shared.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=shown.id), metadata=live.bearer(org))
    await erase(shared, org, facts.DeleteFactsRequest(employee_key="e-1"))
    assert "insights" not in await rows_of(cluster, shared, org)


async def test_a_dismissal_that_is_repeated_with_its_request_id_shows_nobody_who_was_erased_since_and_no_copy_is_at_rest(
    cluster: Cluster, shared: Service, org: str
) -> None:
    await recorded(shared.app.db, org, [FLAGGED, EXPIRING])
    shown = await listed(shared, org)
    requests = [pb.DismissInsightRequest(insight_id=each.id, request_id=str(uuid4())) for each in shown]
    for each in requests:
        await shared.analytics.DismissInsight(each, metadata=live.bearer(org))
    await erase(shared, org, facts.DeleteFactsRequest(employee_key="person-12"))
    await erase(shared, org, facts.DeleteFactsRequest(contract_key="c-2"))
    for each in requests:
        assert (await refusal(shared.analytics.DismissInsight(each, metadata=live.bearer(org)))).reason == "INSIGHT_NOT_FOUND"
    async with superuser(cluster, shared) as connection:
        kept = await connection.fetch("SELECT response FROM idempotency_keys WHERE org_id = $1", org)
    assert (len(kept), b"".join(row["response"] for row in kept)) == (2, b"")
    assert b"person-12" not in await stored(cluster, shared, org)


@pytest.mark.parametrize(
    ("request_", "gone"),
    [
        (facts.DeleteFactsRequest(contract_key="c-2"), [EXPIRING]),
        (facts.DeleteFactsRequest(counterparty_key="s-1"), [EXPIRING, AT_RISK]),
        (facts.DeleteFactsRequest(unit="u-1"), [BUDGET]),
        (facts.DeleteFactsRequest(fact_set=facts.FACT_SET_SPEND_ENTRIES, unit="u-1"), [BUDGET]),
        (facts.DeleteFactsRequest(unit="EUR"), []),
    ],
)
async def test_an_erased_subject_takes_its_own_insights_along(
    shared: Service, org: str, request_: facts.DeleteFactsRequest, gone: list[Finding]
) -> None:
    await load(shared, live.bearer(org), made_facts.made("contracts", 5))
    await recorded(shared.app.db, org, ALL)
    await erase(shared, org, request_)
    left = await listed(shared, org)
    assert sorted(each.title for each in left) == sorted(each.title for each in ALL if each not in gone)


async def contributed(service: Service, org: str) -> None:
    """A value of every metric, and one of a month before."""
    months = (datetime.now(UTC).date().replace(day=1), date(2025, 1, 1))
    values = [OrganizationMetric(metric.name, month, 1.0, 10.0) for metric in METRICS for month in months]
    async with service.app.tx(OrgId(org)) as tx:
        await benchmarks.save_metrics(tx, OrgId(org), values)


async def test_a_fact_set_that_is_erased_takes_its_insights_and_contributed_values_along(
    cluster: Cluster, shared: Service, org: str
) -> None:
    await recorded(shared.app.db, org, ALL)
    await contributed(shared, org)
    await erase(shared, org, facts.DeleteFactsRequest(fact_set=facts.FACT_SET_CONTRACTS, everything=True))
    kinds = {each.insight_type for each in await listed(shared, org)}
    assert kinds == set(InsightType) - {InsightType.CONTRACT_EXPIRING, InsightType.CONTRACT_AT_RISK}
    async with superuser(cluster, shared) as connection:
        left = await connection.fetch("SELECT DISTINCT metric FROM organization_metrics WHERE org_id = $1", org)
    assert {row["metric"] for row in left} == {metric.name for metric in METRICS} - {"contract_renewal_rate", "average_contract_value"}


async def test_an_erasure_that_leaves_reviews_leaves_the_falls_of_the_team(shared: Service, org: str) -> None:
    falls = [about(InsightType.PERFORMANCE_DECLINE, f"team/{TEAM}", team=TEAM)]
    await load_batches(shared, live.bearer(org), *(made_facts.made(member, 3) for member in ("employees", "performance_reviews")))
    await recorded(shared.app.db, org, falls)
    await erase(shared, org, facts.DeleteFactsRequest(fact_set=facts.FACT_SET_EMPLOYEES, employee_key="e-1"))
    assert len(await listed(shared, org)) == 1
    await erase(shared, org, facts.DeleteFactsRequest(fact_set=facts.FACT_SET_PERFORMANCE_REVIEWS, employee_key="e-1"))
    assert await listed(shared, org) == []


async def test_of_an_organization_that_is_erased_no_insight_view_or_contributed_value_is_left(
    cluster: Cluster, shared: Service, org: str
) -> None:
    for each in (org, f"{org}-b"):
        await load_batches(shared, live.bearer(each), *(made_facts.made(member, 3) for member in made_facts.MEMBERS))
        await recorded(shared.app.db, each, ALL)
        await contributed(shared, each)
    await viewed(shared, org)
    neighbour = await rows_of(cluster, shared, f"{org}-b")
    for kind in facts.FactSet.values()[1:]:
        await erase(shared, org, facts.DeleteFactsRequest(fact_set=kind, everything=True))
    left = await rows_of(cluster, shared, org)
    assert not left.keys() & {*made_facts.MEMBERS, "insights", "insight_views", "organization_metrics"}
    assert await rows_of(cluster, shared, f"{org}-b") == neighbour


def test_every_fact_set_says_what_is_made_of_it_and_every_insight_and_metric_is_made_of_something() -> None:
    assert set(erasing.INSIGHTS_OF) == set(erasing.METRICS_OF) == set(FactSet)
    assert {kind for kinds in erasing.INSIGHTS_OF.values() for kind in kinds} == set(CATEGORY_OF)
    assert {name for names in erasing.METRICS_OF.values() for name in names} == {metric.name for metric in METRICS}


class Interrupted(Exception):
    """Ends a transaction."""


async def test_an_erasure_that_does_not_commit_leaves_facts_and_insights_as_they_are(
    cluster: Cluster, shared: Service, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(shared, live.bearer(org), made_facts.made("employees", 3))
    await recorded(shared.app.db, org, ALL)
    before = await rows_of(cluster, shared, org), await listed(shared, org)

    async def interrupted(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr("server.insights.forget.events.append_all", interrupted)
    refused = await refusal(erase(shared, org, facts.DeleteFactsRequest(employee_key="e-1")))
    assert refused.code is grpc.StatusCode.INTERNAL
    assert (await rows_of(cluster, shared, org), await listed(shared, org)) == before


async def test_control_an_erasure_of_facts_alone_leaves_the_employee_in_the_insight(
    cluster: Cluster, shared: Service, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def facts_alone(tx: Tx, origin: Origin, fact_set: FactSet | None, erasure: Erasure) -> int:
        return await erase_facts(tx, origin, fact_set, erasure)

    monkeypatch.setattr("server.rpc.facts.erase", facts_alone)
    await load(shared, live.bearer(org), made_facts.made("employees", 3))
    await recorded(shared.app.db, org, ALL)
    assert await erase(shared, org, facts.DeleteFactsRequest(employee_key="e-1")) == 1
    left = await stored(cluster, shared, org)
    assert (b'"e-1"' in left, b"\x1a\x03e-1" in left) == (True, True)
