"""Messages made at storing time and put together to answers are what building the answers would give."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from analytics.v1 import insights_pb2 as pb
from analytics.v1 import models_pb2
from google.protobuf.json_format import MessageToDict
from google.type.date_pb2 import Date
from hypothesis import given
from hypothesis import strategies as st

from server.identity import InsightId
from server.insights.model import Insight, Provenance
from server.wire.insights import encode, one_bytes, page_bytes
from tests.support.insights import FAR, finding

CREATED = datetime(2026, 9, 1, 3, 0, 0, 250_000, tzinfo=UTC)
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=300)


def stored(title: str = "title", description: str = "description", reopened: datetime | None = None) -> Insight:
    """Return an insight as it is stored."""
    return Insight(InsightId(uuid4()), finding(title=title, description=description), CREATED, CREATED, reopened, 3)


@given(st.lists(st.tuples(texts, st.integers(0, 20_000), st.booleans()), max_size=5), st.text("ab-_", max_size=200))
def test_a_page_of_ready_messages_is_the_page_that_is_built_of_them(items: list[tuple[str, int, bool]], token: str) -> None:
    insights = [(stored(title, "x" * length), viewed) for title, length, viewed in items]
    built = pb.GetInsightsResponse(next_page_token=token)
    for insight, viewed in insights:
        built.insights.add().CopyFrom(pb.Insight.FromString(encode(insight)))
        built.insights[-1].viewed_by_me = viewed
    joined = page_bytes(((encode(insight), viewed) for insight, viewed in insights), token)
    assert pb.GetInsightsResponse.FromString(joined) == built
    # Not only the same in meaning: nothing is in it that would be parsed and passed over.
    assert len(joined) == built.ByteSize()


@given(st.integers(0, 40_000), st.booleans())
def test_one_ready_message_is_the_answer_that_is_built_of_it(length: int, viewed: bool) -> None:  # noqa: FBT001 - drawn
    insight = stored(description="x" * length)
    built = pb.GetInsightResponse(insight=pb.Insight.FromString(encode(insight)))
    built.insight.viewed_by_me = viewed
    assert pb.GetInsightResponse.FromString(one_bytes(encode(insight), viewed=viewed)) == built


def test_an_empty_page_has_no_bytes() -> None:
    assert page_bytes([], "") == b""


def test_a_message_says_everything_that_the_finding_does() -> None:
    insight = stored(reopened=CREATED)
    message = pb.Insight.FromString(encode(insight))
    found = insight.finding
    assert (message.id, message.category, message.insight_type) == (
        str(insight.insight_id),
        pb.INSIGHT_CATEGORY_FINANCE,
        found.insight_type,
    )
    assert (message.title, message.description, message.confidence_score) == (found.title, found.description, 0.93)
    assert MessageToDict(message.data_points) == dict(found.data_points)
    assert [(each.action, each.priority, each.estimated_impact, each.resource_url) for each in message.recommended_actions] == [
        ("Check overtime of September", pb.ACTION_PRIORITY_HIGH, "EUR 40,000 a month", "https://example.org/overtime"),
        ("Compare with the plan", pb.ACTION_PRIORITY_LOW, "", ""),
    ]
    assert message.create_time.ToDatetime(tzinfo=UTC) == message.reopen_time.ToDatetime(tzinfo=UTC) == CREATED
    assert message.expire_time.ToDatetime(tzinfo=UTC) == FAR
    assert message.provenance == pb.InsightProvenance(detector="payroll_residuals", facts_as_of=Date(year=2026, month=9, day=30))
    assert message.revision == 3
    assert not message.HasField("dismiss_time")
    assert not message.viewed_by_me


def test_a_confidence_has_three_decimals_and_a_model_is_named() -> None:
    provenance = Provenance("turnover", FAR.date(), "turnover_prediction", "1.2.0")
    insight = Insight(InsightId(uuid4()), finding(confidence=2 / 3, provenance=provenance), CREATED, CREATED, None, 1)
    message = pb.Insight.FromString(encode(insight))
    assert message.confidence_score == 0.667
    assert message.provenance.model_type == models_pb2.MODEL_TYPE_TURNOVER_PREDICTION
    assert message.provenance.model_version == "1.2.0"
