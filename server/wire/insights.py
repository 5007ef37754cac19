"""Insights as messages: made once, when they are stored, and put together to pages without being read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import insights_pb2 as pb
from google.type.date_pb2 import Date

from server.insights.model import Category, Priority
from server.registry.model import ModelType
from server.wire.models import model_type_message
from server.wire.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.insights.model import Insight, Provenance
    from server.insights.store import AsItIs

_CATEGORIES = {
    Category.HR: pb.INSIGHT_CATEGORY_HR,
    Category.FINANCE: pb.INSIGHT_CATEGORY_FINANCE,
    Category.LEGAL: pb.INSIGHT_CATEGORY_LEGAL,
    Category.OPERATIONS: pb.INSIGHT_CATEGORY_OPERATIONS,
}
_CATEGORIES_BACK = {value: key for key, value in _CATEGORIES.items()}
_PRIORITIES = {
    Priority.HIGH: pb.ACTION_PRIORITY_HIGH,
    Priority.MEDIUM: pb.ACTION_PRIORITY_MEDIUM,
    Priority.LOW: pb.ACTION_PRIORITY_LOW,
}

# The wire format (protobuf.dev, "Encoding"): a message within another is its field's tag, its length, its bytes; the fields
# of a message may come in any order, so what differs from caller to caller is put behind what is the same for all.
_VIEWED = pb.Insight(viewed_by_me=True).SerializeToString()
_ITEM_OF_PAGE = pb.GetInsightsResponse(insights=[pb.Insight()]).SerializeToString()[:1]
_ITEM_ALONE = pb.GetInsightResponse(insight=pb.Insight()).SerializeToString()[:1]


def encode(insight: Insight) -> bytes:
    """Return the message of an active insight without `viewed_by_me`."""
    finding = insight.finding
    message = pb.Insight(
        id=str(insight.insight_id),
        category=_CATEGORIES[finding.category],
        insight_type=finding.insight_type,
        title=finding.title,
        description=finding.description,
        confidence_score=finding.shown_confidence,
        recommended_actions=[
            pb.RecommendedAction(
                action=action.action,
                priority=_PRIORITIES[action.priority],
                estimated_impact=action.estimated_impact,
                resource_url=action.resource_url,
            )
            for action in finding.actions
        ],
        create_time=timestamp(insight.created_at),
        update_time=timestamp(insight.updated_at),
        expire_time=timestamp(finding.expires_at),
        provenance=_provenance(finding.provenance),
        reopen_time=timestamp(insight.reopened_at),
        revision=insight.revision,
    )
    # Its stub knows fewer kinds of values than it takes.
    message.data_points.update(dict(finding.data_points))  # type: ignore[arg-type]
    return message.SerializeToString(deterministic=True)


def page_bytes(insights: Iterable[tuple[bytes, bool]], token: str) -> bytes:
    """Return the serialized GetInsightsResponse of messages, each with whether the caller has viewed it."""
    parts = [_within(_ITEM_OF_PAGE, message, viewed=viewed) for message, viewed in insights]
    if token:
        parts.append(pb.GetInsightsResponse(next_page_token=token).SerializeToString())
    return b"".join(parts)


def one_bytes(message: bytes, *, viewed: bool) -> bytes:
    """Return the serialized GetInsightResponse of a message."""
    return _within(_ITEM_ALONE, message, viewed=viewed)


def message_as_it_is(insight: AsItIs) -> pb.Insight:
    """Return the message of an insight, with its dismissal if it is dismissed."""
    message = pb.Insight.FromString(insight.message)
    if insight.dismissed_at is not None:
        message.dismiss_time.FromDatetime(insight.dismissed_at)
        message.dismissed_by = insight.dismissed_by or ""
    message.viewed_by_me = insight.viewed
    message.revision = insight.revision
    return message


def category_filter(value: pb.InsightCategory.ValueType) -> Category | None:
    """Return the domain's value; unspecified is no filter."""
    return _CATEGORIES_BACK.get(value)


def _within(tag: bytes, message: bytes, *, viewed: bool) -> bytes:
    if viewed:
        return b"".join((tag, _varint(len(message) + len(_VIEWED)), message, _VIEWED))
    return b"".join((tag, _varint(len(message)), message))


def _varint(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first, each but the last with its highest bit set."""
    made = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - the largest of seven bits
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _provenance(provenance: Provenance) -> pb.InsightProvenance:
    as_of = provenance.facts_as_of
    message = pb.InsightProvenance(
        detector=provenance.detector,
        facts_as_of=Date(year=as_of.year, month=as_of.month, day=as_of.day),
        model_version=provenance.model_version,
    )
    if provenance.model_type:
        message.model_type = model_type_message(ModelType(provenance.model_type))
    return message
