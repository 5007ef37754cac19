"""A run creates, updates and brings back insights; it writes as many as it likes in a handful of statements."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import insights_pb2 as pb
from sqlalchemy.exc import DBAPIError

from server.db import statements
from server.identity import OrgId
from server.insights.model import InsightType
from server.insights.record import Recorded, record
from tests.support import live
from tests.support.insights import FAR, RUN, finding, ids, in_days, recorded, withdrawn
from tests.support.leftovers import superuser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("insights recording")


async def listed(service: Service, org: str, user: str = "user-1", **wanted: object) -> list[pb.Insight]:
    """Return the active insights that a user sees."""
    request = pb.GetInsightsRequest(page_size=1000, **wanted)  # type: ignore[arg-type]  # by the names of the fields
    return list((await service.analytics.GetInsights(request, metadata=live.bearer(org, user=user))).insights)


async def events_of(cluster: Cluster, service: Service, org: str) -> list[tuple[str, int]]:
    """Return type and revision of every event of an organization, in order."""
    async with superuser(cluster, service) as connection:
        rows = await connection.fetch("SELECT type, payload FROM outbox WHERE org_id = $1 ORDER BY occurred_at", org)
    return [(row["type"], json.loads(row["payload"])["revision"]) for row in rows]


async def dismiss(service: Service, org: str, insight_id: str) -> pb.Insight:
    """Dismiss as an analyst."""
    request = pb.DismissInsightRequest(insight_id=insight_id)
    return (await service.analytics.DismissInsight(request, metadata=live.bearer(org, "analyst"))).insight


async def test_no_digest_is_computed_while_findings_are_recorded(shared: Service, org: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [finding("a"), finding("b")]
    monkeypatch.setattr("server.insights.model.hashlib", None)
    assert await recorded(shared.app.db, org, found) == Recorded(created=2)
    assert await recorded(shared.app.db, org, found) == Recorded(unchanged=2)


async def test_what_is_found_first_is_created_and_told(cluster: Cluster, shared: Service, org: str) -> None:
    found = [finding("a"), finding("b")]
    assert await recorded(shared.app.db, org, found) == Recorded(created=2)
    insights = await listed(shared, org)
    assert {insight.revision for insight in insights} == {1}
    assert await events_of(cluster, shared, org) == [("insight.created", 1)] * 2
    async with superuser(cluster, shared) as connection:
        payloads = await connection.fetch("SELECT subject, payload, correlation_id FROM outbox WHERE org_id = $1", org)
        rows = await connection.fetch("SELECT insight_id, data_points, confidence, listed FROM insights WHERE org_id = $1", org)
    assert {json.loads(row["payload"])["insight_id"] for row in payloads} == {insight.id for insight in insights}
    content = json.loads(payloads[0]["payload"])
    assert content.keys() == {"insight_id", "category", "insight_type", "revision"}
    assert (payloads[0]["subject"], payloads[0]["correlation_id"]) == (f"insight/{content['insight_id']}", "run-1")
    assert {str(row["insight_id"]) for row in rows} == {insight.id for insight in insights}
    assert all(json.loads(row["data_points"]) == dict(found[0].data_points) and row["listed"] for row in rows)


async def test_no_event_of_an_insight_holds_a_hash_of_what_it_is_about(cluster: Cluster, shared: Service, org: str) -> None:
    for severity in (1.0, 2.0):
        await recorded(shared.app.db, org, [finding(severity=severity)])
    (insight,) = await listed(shared, org)
    await shared.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=insight.id), metadata=live.bearer(org))
    await recorded(shared.app.db, org, [finding(severity=9.0)])
    async with superuser(cluster, shared) as connection:
        told = await connection.fetch("SELECT type, payload FROM outbox WHERE org_id = $1", org)
    assert {row["type"] for row in told} == {"insight.created", "insight.updated", "insight.dismissed", "insight.reopened"}
    assert not [row for row in told if finding().fingerprint.hex() in row["payload"]]


async def test_the_same_again_changes_nothing_but_how_long_it_stays(cluster: Cluster, shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding()])
    (before,) = await listed(shared, org)
    later = FAR.replace(year=2101)
    assert await recorded(shared.app.db, org, [finding(expires_at=later)]) == Recorded(unchanged=1)
    (after,) = await listed(shared, org)
    assert (after.id, after.revision, after.update_time) == (before.id, 1, before.update_time)
    assert after.expire_time.ToDatetime().year == 2101
    assert await events_of(cluster, shared, org) == [("insight.created", 1)]


async def test_what_says_something_else_is_updated_in_its_place_and_stays_viewed(cluster: Cluster, shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding("a")])
    await recorded(shared.app.db, org, [finding("b")])
    second, first = await listed(shared, org)
    request = pb.MarkInsightsViewedRequest(insight_ids=[first.id])
    await shared.analytics.MarkInsightsViewed(request, metadata=live.bearer(org))
    assert await recorded(shared.app.db, org, [finding("a", title="worse", severity=50.0)]) == Recorded(updated=1)
    insights = await listed(shared, org)
    assert [insight.id for insight in insights] == [second.id, first.id]
    assert (insights[1].title, insights[1].revision, insights[1].viewed_by_me) == ("worse", 2, True)
    assert insights[1].update_time.ToDatetime() > first.update_time.ToDatetime()
    assert not insights[1].HasField("reopen_time")
    assert (await events_of(cluster, shared, org))[-1] == ("insight.updated", 2)


async def test_a_dismissed_one_stays_so_until_it_is_worse_by_a_tenth_and_then_is_new_to_everybody(
    cluster: Cluster, shared: Service, org: str
) -> None:
    await recorded(shared.app.db, org, [finding(severity=10.0)])
    (first,) = await listed(shared, org)
    await shared.analytics.MarkInsightsViewed(pb.MarkInsightsViewedRequest(insight_ids=[first.id]), metadata=live.bearer(org))
    await dismiss(shared, org, first.id)
    for severity in (10.0, 10.9, 11.0, 3.0):
        assert await recorded(shared.app.db, org, [finding(severity=severity, title=f"{severity}")]) == Recorded(kept_dismissed=1)
        assert await listed(shared, org) == []
    assert await recorded(shared.app.db, org, [finding(severity=11.1, title="much worse")]) == Recorded(reopened=1)
    (again,) = await listed(shared, org)
    assert (again.id, again.title, again.viewed_by_me) == (first.id, "much worse", False)
    assert not again.HasField("dismiss_time")
    assert again.reopen_time.ToDatetime() > again.create_time.ToDatetime()
    told = await events_of(cluster, shared, org)
    assert [kind for kind, _ in told] == ["insight.created", "insight.dismissed", "insight.reopened"]
    assert again.revision == told[-1][1]


async def test_a_dismissal_holds_also_after_the_insight_has_expired(shared: Service, org: str) -> None:
    await recorded(shared.app.db, org, [finding(expires_at=in_days(1))])
    await dismiss(shared, org, (await listed(shared, org))[0].id)
    assert await withdrawn(shared.app.db, org, [InsightType.PAYROLL_COST_SPIKE]) == 0
    assert await recorded(shared.app.db, org, [finding()]) == Recorded(kept_dismissed=1)
    assert await listed(shared, org) == []


async def test_what_a_complete_run_no_longer_finds_is_gone_and_comes_back_unviewed(cluster: Cluster, shared: Service, org: str) -> None:
    kept, gone, other = finding("kept"), finding("gone"), finding("other", insight_type=InsightType.CONTRACT_EXPIRING)
    await recorded(shared.app.db, org, [kept, gone, other])
    before = {insight.id for insight in await listed(shared, org)}
    request = pb.MarkInsightsViewedRequest(insight_ids=list(before))
    await shared.analytics.MarkInsightsViewed(request, metadata=live.bearer(org))
    assert await withdrawn(shared.app.db, org, [InsightType.PAYROLL_COST_SPIKE, InsightType.BUDGET_OVERRUN], [kept.fingerprint]) == 1
    left = {insight.id for insight in await listed(shared, org)}
    assert len(left) == 2
    (missing,) = before - left
    assert (await events_of(cluster, shared, org))[-1] == ("insight.updated", 2)
    assert await withdrawn(shared.app.db, org, [InsightType.PAYROLL_COST_SPIKE], [kept.fingerprint]) == 0
    assert await recorded(shared.app.db, org, [gone]) == Recorded(reopened=1)
    newest = (await listed(shared, org))[0]
    assert (newest.id, newest.viewed_by_me, newest.revision) == (missing, False, 3)
    assert (await events_of(cluster, shared, org))[-1] == ("insight.reopened", 3)


async def test_a_finding_that_is_over_already_is_counted_and_not_stored(cluster: Cluster, shared: Service, org: str) -> None:
    assert await recorded(shared.app.db, org, [finding(expires_at=in_days(-1)), finding("b")]) == Recorded(created=1, expired=1)
    assert len(await listed(shared, org)) == 1
    assert len(await events_of(cluster, shared, org)) == 1


async def test_of_two_findings_about_one_subject_the_worse_is_stored(shared: Service, org: str) -> None:
    assert await recorded(shared.app.db, org, [finding(severity=9.0, title="bad"), finding(severity=1.0)]) == Recorded(created=1)
    assert [insight.title for insight in await listed(shared, org)] == ["bad"]


async def test_no_findings_are_a_run_as_well(shared: Service, org: str) -> None:
    assert await recorded(shared.app.db, org, []) == Recorded()


async def test_every_finding_needs_an_id(shared: Service, org: str) -> None:
    async with shared.app.tx(OrgId(org)) as tx:
        with pytest.raises(ValueError, match="shorter"):
            await record(tx, OrgId(org), [finding(), finding("b")], ids(1), RUN)


async def test_two_runs_at_once_make_one_insight_of_a_subject(cluster: Cluster, shared: Service, org: str) -> None:
    subjects = [finding(str(number)) for number in range(20)]
    outcomes = await asyncio.gather(*(recorded(shared.app.db, org, subjects[:: 1 if turn % 2 else -1]) for turn in range(6)))
    assert sorted((outcome.created, outcome.unchanged) for outcome in outcomes) == [(0, 20)] * 5 + [(20, 0)]
    assert len(await listed(shared, org)) == 20
    assert len(await events_of(cluster, shared, org)) == 20


async def test_a_thousand_findings_take_as_many_statements_as_ten(shared: Service, org: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    @contextmanager
    def noted(sql: str, connection: asyncpg.Connection | None = None) -> Iterator[None]:
        said.append(sql)
        with translated(sql, connection):
            yield

    translated = statements.translated
    monkeypatch.setattr(statements, "translated", noted)
    taken = []
    for number in (10, 1000):
        said.clear()
        await recorded(shared.app.db, org, [finding(f"{number}/{each}") for each in range(number)])
        # The process has loops of its own, which say other things meanwhile.
        taken.append([sql for sql in said if "insights" in sql or "outbox" in sql])
    assert taken[0] == taken[1]
    assert 0 < len(taken[0]) < 10


async def test_a_run_that_fails_leaves_nothing_behind(cluster: Cluster, shared: Service, org: str) -> None:
    class Broken(Exception):
        """The run ends."""

    async def run() -> None:
        async with shared.app.tx(OrgId(org)) as tx:
            await record(tx, OrgId(org), [finding()], ids(1), RUN)
            raise Broken

    with pytest.raises(Broken):
        await run()
    assert await listed(shared, org) == []
    assert await events_of(cluster, shared, org) == []


async def test_a_run_cannot_write_into_another_organization(shared: Service, org: str) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with shared.app.tx(OrgId(org)) as tx:
            await record(tx, OrgId(f"{org}-b"), [finding()], ids(1), RUN)


async def test_two_organizations_have_the_same_subject_apart(shared: Service, org: str) -> None:
    for each in (org, f"{org}-b"):
        assert await recorded(shared.app.db, each, [finding()]) == Recorded(created=1)
    await dismiss(shared, org, (await listed(shared, org))[0].id)
    assert await listed(shared, org) == []
    assert len(await listed(shared, f"{org}-b")) == 1
