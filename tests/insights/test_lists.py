"""What callers see in lists: active insights only, by the clock of the database, filtered, in one order, each user for himself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import insights_pb2 as pb

from server.insights.model import InsightType
from tests.support import environment, live
from tests.support.clock import VirtualClock
from tests.support.insights import FAR, finding, in_days, recorded, withdrawn
from tests.support.leftovers import superuser
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("insights lists")

DAY = 86_400.0


async def listed(service: Service, org: str, user: str = "user-1", **wanted: object) -> list[pb.Insight]:
    """Return a page that a user asks for."""
    request = pb.GetInsightsRequest(**wanted)  # type: ignore[arg-type]  # by the names of the fields
    return list((await service.analytics.GetInsights(request, metadata=live.bearer(org, user=user))).insights)


async def titles(service: Service, org: str, user: str = "user-1", **wanted: object) -> list[str]:
    """Return the titles of a page."""
    return [insight.title for insight in await listed(service, org, user, **wanted)]


async def view(service: Service, org: str, *insight_ids: str, user: str = "user-1") -> None:
    """Mark as viewed."""
    await service.analytics.MarkInsightsViewed(pb.MarkInsightsViewedRequest(insight_ids=insight_ids), metadata=live.bearer(org, user=user))


async def test_the_newest_come_first_and_among_the_equally_old_the_id_decides(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(f"old/{number}", title="old") for number in range(5)])
    await recorded(shared.app.db, org, [finding("new", title="new")])
    insights = await listed(shared, org)
    assert [insight.title for insight in insights] == ["new", *["old"] * 5]
    assert [insight.id for insight in insights[1:]] == sorted((insight.id for insight in insights[1:]), reverse=True)


async def test_filters_narrow_the_list_alone_and_together(shared: Service, org: str) -> None:
    await recorded(
        shared.app.db,
        org,
        [
            finding("a", title="spike", confidence=0.7),
            finding("b", title="overrun", insight_type=InsightType.BUDGET_OVERRUN, confidence=0.6996),
            finding("c", title="leavers", insight_type=InsightType.HIGH_TURNOVER_RISK, confidence=1.0),
            finding("d", title="contract", insight_type=InsightType.CONTRACT_EXPIRING, confidence=0.0),
            finding("e", title="team", insight_type=InsightType.PERFORMANCE_DECLINE, confidence=0.4),
        ],
    )
    for wanted, found in (
        ({}, {"spike", "overrun", "leavers", "contract", "team"}),
        ({"category": pb.INSIGHT_CATEGORY_FINANCE}, {"spike", "overrun"}),
        ({"category": pb.INSIGHT_CATEGORY_HR}, {"leavers"}),
        ({"category": pb.INSIGHT_CATEGORY_LEGAL}, {"contract"}),
        ({"category": pb.INSIGHT_CATEGORY_OPERATIONS}, {"team"}),
        ({"insight_type": "budget_overrun"}, {"overrun"}),
        ({"insight_type": "nothing_is_called_so"}, set()),
        # 0.6996 is shown as 0.7, and is found as what it is shown as.
        ({"min_confidence": 0.7}, {"spike", "overrun", "leavers"}),
        ({"min_confidence": 0.701}, {"leavers"}),
        ({"min_confidence": 1.0}, {"leavers"}),
        ({"category": pb.INSIGHT_CATEGORY_FINANCE, "insight_type": "contract_expiring"}, set()),
        ({"category": pb.INSIGHT_CATEGORY_FINANCE, "insight_type": "payroll_cost_spike", "min_confidence": 0.5}, {"spike"}),
    ):
        assert set(await titles(shared, org, **wanted)) == found, wanted


async def test_each_user_has_his_own_unviewed_insights(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(name, title=name) for name in "abc"])
    insights = {insight.title: insight for insight in await listed(shared, org)}
    await view(shared, org, insights["a"].id, insights["b"].id, user="ada")
    await view(shared, org, insights["b"].id, user="bob")
    assert await titles(shared, org, "ada", unviewed_only=True) == ["c"]
    assert set(await titles(shared, org, "bob", unviewed_only=True)) == {"a", "c"}
    assert len(await titles(shared, org, "eve", unviewed_only=True)) == 3
    assert {insight.title: insight.viewed_by_me for insight in await listed(shared, org, "ada")} == {"a": True, "b": True, "c": False}
    # The same name in another organization is somebody else.
    await recorded(shared.app.db, f"{org}-b", [finding("a")])
    assert len(await titles(shared, f"{org}-b", "ada", unviewed_only=True)) == 1


async def test_to_view_again_or_twice_in_one_call_changes_nothing(cluster: Cluster, shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding()])
    (insight,) = await listed(shared, org)
    for _ in range(2):
        await view(shared, org, insight.id, insight.id.upper(), insight.id)
    async with superuser(cluster, shared) as connection:
        assert await connection.fetchval("SELECT count(*) FROM insight_views WHERE org_id = $1", org) == 1
        assert await connection.fetchval("SELECT count(*) FROM audit_entries WHERE org_id = $1", org) == 1


async def test_one_unknown_id_is_named_and_nothing_is_noted(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding()])
    (insight,) = await listed(shared, org)
    await recorded(shared.app.db, f"{org}-b", [finding()])
    (foreign,) = await listed(shared, f"{org}-b")
    unknown = "00000000-0000-4000-8000-000000000000"
    for first, second in ((unknown, foreign.id), (foreign.id, unknown)):
        refused = await refusal(view(shared, org, insight.id, first, second))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "INSIGHT_NOT_FOUND")
        assert first in refused.status.message
    assert len(await titles(shared, org, unviewed_only=True)) == 1


async def test_one_that_was_dismissed_or_expired_meanwhile_may_be_viewed(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(name) for name in "abc"])
    first, second, third = (insight.id for insight in await listed(shared, org))
    await shared.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=first), metadata=live.bearer(org))
    await withdrawn(shared.app.db, org, [InsightType.PAYROLL_COST_SPIKE])
    await view(shared, org, first, second, third)


async def test_an_insight_is_read_alone_while_it_is_active(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding("a"), finding("b", expires_at=in_days(1))])
    insights = await listed(shared, org)
    await view(shared, org, insights[0].id)
    for insight in await listed(shared, org):
        request = pb.GetInsightRequest(insight_id=insight.id)
        assert (await shared.analytics.GetInsight(request, metadata=live.bearer(org))).insight == insight
    await shared.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=insights[0].id), metadata=live.bearer(org))
    await withdrawn(shared.app.db, org, [InsightType.PAYROLL_COST_SPIKE])
    for insight in insights:
        refused = await refusal(shared.analytics.GetInsight(pb.GetInsightRequest(insight_id=insight.id), metadata=live.bearer(org)))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "INSIGHT_NOT_FOUND")


async def test_a_list_of_any_size_of_pages_has_every_insight_once(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(str(number)) for number in range(120)])
    everything = [insight.id for insight in await listed(shared, org, page_size=1000)]
    assert len(everything) == len(set(everything)) == 120
    for size in (1, 7, 20, 21, 50, 51, 100, 119, 120, 250, 999):
        seen: list[str] = []
        token = ""
        while True:
            request = pb.GetInsightsRequest(page_size=size, page_token=token)
            answer = await shared.analytics.GetInsights(request, metadata=live.bearer(org))
            assert 0 < len(answer.insights) <= size
            seen += [insight.id for insight in answer.insights]
            token = answer.next_page_token
            if not token:
                break
        assert seen == everything


async def test_one_that_comes_back_during_a_walk_is_not_shown_twice(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(str(number)) for number in range(6)])
    who = live.bearer(org)
    first = await shared.analytics.GetInsights(pb.GetInsightsRequest(page_size=3), metadata=who)
    shown, not_yet = first.insights[0], (await listed(shared, org))[-1]
    for insight in (shown, not_yet):
        await shared.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=insight.id), metadata=who)
    await recorded(shared.app.db, org, [finding(str(number), severity=50.0) for number in range(6)])
    rest = await shared.analytics.GetInsights(pb.GetInsightsRequest(page_size=3, page_token=first.next_page_token), metadata=who)
    seen = [insight.id for insight in (*first.insights, *rest.insights)]
    assert len(set(seen)) == len(seen) == 5
    assert not rest.next_page_token
    assert {insight.id for insight in (await listed(shared, org))[:2]} == {shown.id, not_yet.id}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GetInsightsRequest(page_size=-1), "page_size"),
        (pb.GetInsightsRequest(min_confidence=1.01), "min_confidence"),
        (pb.GetInsightsRequest(min_confidence=-0.01), "min_confidence"),
        (pb.GetInsightsRequest(min_confidence=float("nan")), "min_confidence"),
        (pb.GetInsightsRequest(category=99), "category"),  # type: ignore[arg-type]  # an unknown value is what is refused
        (pb.GetInsightsRequest(insight_type="x" * 101), "insight_type"),
        (pb.GetInsightsRequest(insight_type="a\x00b"), "insight_type"),
        (pb.GetInsightsRequest(page_token="AAAA"), "page_token"),
    ],
)
async def test_a_bad_list_request_names_the_field(shared: Service, org: str, request_: pb.GetInsightsRequest, field: str) -> None:
    refused = await refusal(shared.analytics.GetInsights(request_, metadata=live.bearer(org)))
    assert (refused.code, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, {field})


@pytest.mark.parametrize(
    ("insight_ids", "reason"),
    [
        ([], "VALIDATION_FAILED"),
        (["x"], "VALIDATION_FAILED"),
        ([f"00000000-0000-4000-8000-{n:012}" for n in range(101)], "BATCH_TOO_LARGE"),
    ],
)
async def test_bad_ids_to_be_viewed_name_the_field(shared: Service, org: str, insight_ids: list[str], reason: str) -> None:
    refused = await refusal(view(shared, org, *insight_ids))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert all(field.startswith("insight_ids") for field in refused.fields)


async def test_a_token_is_good_for_its_filters_and_its_organization_only(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(str(number)) for number in range(3)])
    first = await shared.analytics.GetInsights(pb.GetInsightsRequest(page_size=1), metadata=live.bearer(org))
    token = first.next_page_token
    for request, who in (
        (pb.GetInsightsRequest(page_token=token, unviewed_only=True), live.bearer(org)),
        (pb.GetInsightsRequest(page_token=token, min_confidence=0.1), live.bearer(org)),
        (pb.GetInsightsRequest(page_token=token), live.bearer(f"{org}-b")),
    ):
        assert (await refusal(shared.analytics.GetInsights(request, metadata=who))).reason == "PAGE_TOKEN_INVALID"


async def test_an_insight_is_gone_at_the_instant_it_expires_and_not_before(cluster: Cluster, database: str, tmp_path: Path) -> None:
    clock = await VirtualClock.install(cluster, database)
    async with live.running(environment.settings(cluster, database), tmp_path, worker=False) as service:
        now = await clock.advance(0)
        soon = timedelta(days=365)
        await recorded(service.app.db, "o", [finding("a", title="a", expires_at=now + soon), finding("b", title="b")])
        insights = await listed(service, "o")
        assert len(insights) == 2
        expiring = next(insight for insight in insights if insight.title == "a")
        await clock.advance(soon.total_seconds() - 0.000_001)
        assert len(await listed(service, "o")) == 2
        await clock.advance(0.000_001)
        assert await titles(service, "o") == ["b"]
        who = live.bearer("o")
        for call in (
            service.analytics.GetInsight(pb.GetInsightRequest(insight_id=expiring.id), metadata=who),
            service.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=expiring.id), metadata=who),
        ):
            assert (await refusal(call)).reason == "INSIGHT_NOT_FOUND"
        # Found again, it is back, and new to everybody.
        await recorded(service.app.db, "o", [finding("a", title="a", expires_at=FAR)])
        again = (await listed(service, "o"))[0]
        assert (again.id, again.HasField("reopen_time"), again.viewed_by_me) == (expiring.id, True, False)
    await clock.close()
