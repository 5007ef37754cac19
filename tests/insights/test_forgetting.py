"""Who is erased from the facts is erased from the insights that name him."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from analytics.v1 import insights_pb2 as pb

from server.identity import OrgId
from server.insights.forget import forget_employee
from tests.support import live
from tests.support.insights import CAUSE, finding, recorded
from tests.support.leftovers import rows_of

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("insights forgetting")

FINDINGS = [
    finding("a", title="listed", data_points={"flagged": ["e-1", "e-2"]}),
    finding("b", title="nested", data_points={"explained": [{"employee": "e-1", "drivers": ["pay"]}]}),
    finding("c", title="longer key", data_points={"flagged": ["e-11"], "e-1": 1}),
    finding("d", title="nobody", data_points={"cost": 1}),
]


async def test_insights_that_name_a_key_are_deleted_and_no_others(cluster: Cluster, shared: Service, org: str) -> None:
    for each in (org, f"{org}-b"):
        await recorded(shared.app.db, each, FINDINGS)
    everything = await shared.analytics.GetInsights(pb.GetInsightsRequest(), metadata=live.bearer(org))
    ids = [insight.id for insight in everything.insights]
    await shared.analytics.MarkInsightsViewed(pb.MarkInsightsViewedRequest(insight_ids=ids), metadata=live.bearer(org))
    async with shared.app.tx(OrgId(org)) as tx:
        await forget_employee(tx, OrgId(org), "e-1", CAUSE)
    left = await shared.analytics.GetInsights(pb.GetInsightsRequest(), metadata=live.bearer(org))
    assert {insight.title for insight in left.insights} == {"longer key", "nobody"}
    assert (await rows_of(cluster, shared, org))["insight_views"] == 2
    assert (await rows_of(cluster, shared, f"{org}-b"))["insights"] == 4
