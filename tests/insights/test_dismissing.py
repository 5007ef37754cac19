"""To dismiss and to view is audited once; a dismissal holds for everybody of the organization, and may be repeated."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import insights_pb2 as pb
from analytics.v1 import tenant_service_pb2

from server.audit import store as audit
from tests.support import live
from tests.support.insights import finding, recorded
from tests.support.leftovers import rows_of, superuser
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("insights dismissing")


async def an_insight(service: Service, org: str, subject: str = "a") -> pb.Insight:
    """Record one and return it."""
    await recorded(service.app.db, org, [finding(subject)])
    return (await service.analytics.GetInsights(pb.GetInsightsRequest(), metadata=live.bearer(org))).insights[0]


async def dismissed(service: Service, who: Metadata, insight_id: str, request_id: str = "") -> pb.Insight:
    """Dismiss and return what is answered."""
    request = pb.DismissInsightRequest(insight_id=insight_id, request_id=request_id)
    return (await service.analytics.DismissInsight(request, metadata=who)).insight


async def audited(service: Service, org: str, action: str = "insight.dismissed") -> list[tenant_service_pb2.AuditEntry]:
    """Return what the audit log has of an action, the newest first."""
    request = tenant_service_pb2.ListAuditEntriesRequest(action=action)
    return list((await service.tenants.ListAuditEntries(request, metadata=live.bearer(org))).entries)


async def test_a_dismissal_answers_the_insight_leaves_an_entry_and_tells_of_it(cluster: Cluster, shared: Service, org: str) -> None:
    insight = await an_insight(shared, org)
    who = (*live.bearer(org, "analyst", user="ada"), ("x-request-id", "call-17"))
    answer = await dismissed(shared, who, insight.id)
    assert (answer.dismissed_by, answer.revision) == ("ada", 2)
    assert answer.HasField("dismiss_time")
    for field in ("dismiss_time", "dismissed_by", "revision"):
        answer.ClearField(field)
        insight.ClearField(field)
    assert answer == insight
    (entry,) = await audited(shared, org)
    assert (entry.actor, entry.request_id, entry.resource_type, entry.resource_id) == ("ada", "call-17", "insight", insight.id)
    assert dict(entry.details) == {"category": "finance", "insight_type": "payroll_cost_spike"}
    async with superuser(cluster, shared) as connection:
        told = await connection.fetch("SELECT payload, correlation_id FROM outbox WHERE org_id = $1 AND type = 'insight.dismissed'", org)
    assert [(json.loads(row["payload"])["insight_id"], row["correlation_id"]) for row in told] == [(insight.id, "call-17")]
    assert not (await shared.analytics.GetInsights(pb.GetInsightsRequest(), metadata=live.bearer(org, user="bob"))).insights


async def test_repeating_it_answers_the_first_dismissal_and_leaves_no_second_entry(cluster: Cluster, shared: Service, org: str) -> None:
    insight = await an_insight(shared, org)
    first = await dismissed(shared, live.bearer(org, user="ada"), insight.id)
    again = await dismissed(shared, live.bearer(org, user="bob"), insight.id)
    assert (again, again.dismissed_by) == (first, "ada")
    found = await rows_of(cluster, shared, org)
    assert (found["audit_entries"], found["outbox"]) == (1, 2)


async def test_twenty_at_once_are_one_dismissal(cluster: Cluster, shared: Service, org: str) -> None:
    insight = await an_insight(shared, org)
    answers = await asyncio.gather(*(dismissed(shared, live.bearer(org, user=f"u{n}"), insight.id) for n in range(20)))
    assert all(answer == answers[0] for answer in answers)
    found = await rows_of(cluster, shared, org)
    assert (found["audit_entries"], found["outbox"]) == (1, 2)


async def test_a_request_id_dismisses_once_and_answers_the_insight_as_it_is_by_then_also_after_it_came_back(
    shared: Service, org: str
) -> None:
    insight, request_id, who = await an_insight(shared, org), str(uuid4()), live.bearer(org)
    first = await dismissed(shared, who, insight.id, request_id)
    assert await dismissed(shared, who, insight.id, request_id) == first
    await recorded(shared.app.db, org, [finding("a", severity=100.0)])
    again = await dismissed(shared, who, insight.id, request_id)
    assert (again.id, again.HasField("dismiss_time"), again.dismissed_by, again.revision) == (insight.id, False, "", 3)
    assert len((await shared.analytics.GetInsights(pb.GetInsightsRequest(), metadata=who)).insights) == 1
    other = await an_insight(shared, org, "b")
    refused = await refusal(dismissed(shared, who, other.id, request_id))
    assert (refused.reason, set(refused.fields)) == ("IDEMPOTENCY_KEY_REUSED", {"request_id"})


async def test_one_that_came_back_can_be_dismissed_again_at_what_it_is_then(shared: Service, org: str) -> None:
    insight, who = await an_insight(shared, org), live.bearer(org)
    await dismissed(shared, who, insight.id)
    assert (await recorded(shared.app.db, org, [finding("a", severity=100.0)])).reopened == 1
    await dismissed(shared, who, insight.id)
    assert (await recorded(shared.app.db, org, [finding("a", severity=109.0)])).kept_dismissed == 1
    assert (await recorded(shared.app.db, org, [finding("a", severity=111.0)])).reopened == 1
    assert len(await audited(shared, org)) == 2


async def test_an_audit_log_that_cannot_be_written_leaves_the_insight_as_it_was(
    shared: Service, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insight = await an_insight(shared, org)

    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(audit, "record", broken)
    assert (await refusal(dismissed(shared, live.bearer(org), insight.id))).reason == "INTERNAL"
    assert len((await shared.analytics.GetInsights(pb.GetInsightsRequest(), metadata=live.bearer(org))).insights) == 1


async def test_an_unknown_and_a_foreign_insight_are_not_found_and_leave_no_trace(cluster: Cluster, shared: Service, org: str) -> None:
    foreign = await an_insight(shared, f"{org}-b")
    for insight_id in (foreign.id, str(uuid4())):
        refused = await refusal(dismissed(shared, live.bearer(org), insight_id))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "INSIGHT_NOT_FOUND")
    assert await rows_of(cluster, shared, org) == {}


async def test_to_view_leaves_one_entry_per_call_that_noted_something_new_and_a_repetition_none(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(subject) for subject in "abc"])
    page = await shared.analytics.GetInsights(pb.GetInsightsRequest(), metadata=live.bearer(org))
    ids = [insight.id for insight in page.insights]
    who = (*live.bearer(org, "viewer", user="ada"), ("x-request-id", "call-18"))
    for some in (ids[:1], ids, ids, ids[:1], [*ids, *ids]):
        await shared.analytics.MarkInsightsViewed(pb.MarkInsightsViewedRequest(insight_ids=some), metadata=who)
    found = [
        (each.actor, each.request_id, each.resource_type, each.resource_id, dict(each.details))
        for each in await audited(shared, org, "insight.viewed")
    ]
    assert found == [
        ("ada", "call-18", "insight", "", {"insights": "2"}),
        ("ada", "call-18", "insight", ids[0], {"insights": "1"}),
    ]
    await shared.analytics.MarkInsightsViewed(pb.MarkInsightsViewedRequest(insight_ids=ids), metadata=live.bearer(org, user="bob"))
    assert next((each.actor, each.details["insights"]) for each in await audited(shared, org, "insight.viewed")) == ("bob", "3")
    unknown = pb.MarkInsightsViewedRequest(insight_ids=[*ids, str(uuid4())])
    assert (
        await refusal(shared.analytics.MarkInsightsViewed(unknown, metadata=live.bearer(org, user="eve")))
    ).reason == "INSIGHT_NOT_FOUND"
    assert len(await audited(shared, org, "insight.viewed")) == 3


async def test_twenty_viewings_at_once_are_one_entry(shared: Service, org: str) -> None:
    request = pb.MarkInsightsViewedRequest(insight_ids=[(await an_insight(shared, org)).id])
    await asyncio.gather(*(shared.analytics.MarkInsightsViewed(request, metadata=live.bearer(org)) for _ in range(20)))
    assert len(await audited(shared, org, "insight.viewed")) == 1


async def test_a_viewer_may_look_and_not_dismiss(shared: Service, org: str) -> None:
    insight, viewer = await an_insight(shared, org), live.bearer(org, "viewer")
    await shared.analytics.MarkInsightsViewed(pb.MarkInsightsViewedRequest(insight_ids=[insight.id]), metadata=viewer)
    assert (await shared.analytics.GetInsight(pb.GetInsightRequest(insight_id=insight.id), metadata=viewer)).insight.viewed_by_me
    refused = await refusal(dismissed(shared, viewer, insight.id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.DismissInsightRequest(), "insight_id"),
        (pb.DismissInsightRequest(insight_id="x"), "insight_id"),
        (pb.DismissInsightRequest(insight_id=str(uuid4()), request_id="x"), "request_id"),
    ],
)
async def test_a_bad_request_names_the_field(shared: Service, org: str, request_: pb.DismissInsightRequest, field: str) -> None:
    refused = await refusal(shared.analytics.DismissInsight(request_, metadata=live.bearer(org)))
    assert (refused.code, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, {field})
