"""The bare handler of lists: `python -m bench.bare_insights` answers GetInsights by one indexed SELECT and nothing else.

No credential, no validation, no tenant, no span, no log, no page token: one asyncpg statement on a pool, and the same
messages as ours built from the columns.
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

from analytics.v1 import insights_pb2 as pb
from google.type.date_pb2 import Date

from bench.bare_handler import run

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg
    from google.protobuf.timestamp_pb2 import Timestamp

_PAGE = """
SELECT insight_id, category, insight_type, title, description, confidence, data_points, actions, provenance, created_at, updated_at,
    reopened_at, expires_at, revision
FROM insights WHERE org_id = $1 AND listed AND expires_at > now() ORDER BY shown_at DESC, insight_id DESC LIMIT $2
"""


def insight_message(row: asyncpg.Record) -> pb.Insight:
    """Build an item of the answer from the columns."""
    provenance = json.loads(row["provenance"])
    as_of = date.fromisoformat(provenance["facts_as_of"])
    made = pb.Insight(
        id=str(row["insight_id"]),
        category=pb.InsightCategory.Value(f"INSIGHT_CATEGORY_{row['category'].upper()}"),
        insight_type=row["insight_type"],
        title=row["title"],
        description=row["description"],
        confidence_score=float(row["confidence"]),
        recommended_actions=[
            pb.RecommendedAction(
                action=action["action"],
                priority=pb.ActionPriority.Value(f"ACTION_PRIORITY_{action['priority'].upper()}"),
                estimated_impact=action["estimated_impact"],
                resource_url=action["resource_url"],
            )
            for action in json.loads(row["actions"])
        ],
        provenance=pb.InsightProvenance(
            detector=provenance["detector"],
            facts_as_of=Date(year=as_of.year, month=as_of.month, day=as_of.day),
            model_version=provenance["model_version"],
        ),
        revision=row["revision"],
    )
    made.data_points.update(json.loads(row["data_points"]))
    _set(made.create_time, row["created_at"])
    _set(made.update_time, row["updated_at"])
    _set(made.expire_time, row["expires_at"])
    if row["reopened_at"] is not None:
        _set(made.reopen_time, row["reopened_at"])
    return made


async def _page(pool: asyncpg.Pool, org: str, request: pb.GetInsightsRequest) -> pb.GetInsightsResponse:
    return pb.GetInsightsResponse(insights=[insight_message(row) for row in await pool.fetch(_PAGE, org, request.page_size)])


def _set(field: Timestamp, instant: datetime) -> None:
    field.FromDatetime(instant)


if __name__ == "__main__":
    run("GetInsights", pb.GetInsightsRequest, pb.GetInsightsResponse, _page)
