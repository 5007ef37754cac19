"""`analyticsctl insights`: what a manager should know."""

import json
import uuid
from typing import Annotated, TypeAlias

import typer
from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.insights_pb2 import (
    ActionPriority,
    DismissInsightRequest,
    GetInsightRequest,
    GetInsightsRequest,
    Insight,
    InsightCategory,
    InsightProvenance,
    MarkInsightsViewedRequest,
)
from analytics.v1.models_pb2 import ModelType
from google.protobuf.json_format import MessageToDict

from server.ctl.connection import Connection
from server.ctl.paging import PAGE, all_pages, enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import as_dict, decimal, note, print_facts, print_json, print_table, when
from server.ctl.values import named

app = typer.Typer(help="What a manager should know: found at night, read in the morning.")

InsightId: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="Id of the insight.", show_default=False)]

# The most that the contract takes in one call.
_MOST_AT_ONCE = 100


@app.callback(invoke_without_command=True)
def insights(  # noqa: PLR0913 - one argument per filter
    ctx: typer.Context,
    *,
    category: Annotated[str, typer.Option(help="Only this category: hr, finance, legal, operations.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Only this type, for example budget_overrun.")] = "",
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Only with at least this confidence.")] = 0.0,
    unviewed: Annotated[bool, typer.Option("--unviewed", help="Only those that you have not marked as viewed.")] = False,
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List the organization's active insights, newest first. `insights show`, `viewed` and `dismiss` act on some of them."""
    if ctx.invoked_subcommand is not None:
        return
    connection = start(ctx, json_output=json_output).tenant
    wanted = GetInsightsRequest(
        category=InsightCategory.ValueType(enum_filter(InsightCategory.DESCRIPTOR, "--category", category)),
        insight_type=type_,
        min_confidence=min_confidence,
        unviewed_only=unviewed,
    )
    found = list_insights(connection, wanted, limit)
    if json_output:
        print_json({"insights": [as_dict(insight) for insight in found]})
    else:
        _print_list(found)


@app.command()
def show(ctx: typer.Context, insight_id: InsightId, *, json_output: JsonOption = False) -> None:
    """Show an active insight: what it says, the numbers behind it, and what to do."""
    connection = start(ctx, json_output=json_output).tenant
    found = connection.unary(AnalyticsServiceStub(connection.channel).GetInsight, GetInsightRequest(insight_id=insight_id)).insight
    _print_one(found, json_output=json_output)


@app.command()
def viewed(
    ctx: typer.Context,
    insight_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of insights.", show_default=False)],
    *,
    json_output: JsonOption = False,
) -> None:
    """Mark insights as viewed by you. Of up to 100 all are marked or, when one is unknown, none."""
    connection = start(ctx, json_output=json_output).tenant
    stub = AnalyticsServiceStub(connection.channel)
    for first in range(0, len(insight_ids), _MOST_AT_ONCE):
        part = insight_ids[first : first + _MOST_AT_ONCE]
        connection.unary(stub.MarkInsightsViewed, MarkInsightsViewedRequest(insight_ids=part))
    if json_output:
        print_json({"viewed": insight_ids})
    else:
        note(f"{len(insight_ids)} marked as viewed")


@app.command()
def dismiss(ctx: typer.Context, insight_id: InsightId, *, json_output: JsonOption = False) -> None:
    """Dismiss an insight for the whole organization; it comes back only when it gets worse. Roles: analyst, admin, owner."""
    connection = start(ctx, json_output=json_output).tenant
    request = DismissInsightRequest(insight_id=insight_id, request_id=str(uuid.uuid4()))
    _print_one(connection.unary(AnalyticsServiceStub(connection.channel).DismissInsight, request).insight, json_output=json_output)


def list_insights(connection: Connection, wanted: GetInsightsRequest, limit: int) -> list[Insight]:
    """Active insights that a request asks for, of as many pages as it takes."""
    stub = AnalyticsServiceStub(connection.channel)

    def page(size: int, token: str) -> tuple[list[Insight], str]:
        request = GetInsightsRequest(page_size=size, page_token=token)
        request.MergeFrom(wanted)
        answer = connection.unary(stub.GetInsights, request)
        return list(answer.insights), answer.next_page_token

    return all_pages(page, limit)


def _print_list(found: list[Insight]) -> None:
    rows = [
        (
            insight.id,
            named(InsightCategory.DESCRIPTOR, insight.category),
            insight.insight_type,
            decimal(insight.confidence_score),
            "" if insight.viewed_by_me else "new",
            when(insight.reopen_time if insight.HasField("reopen_time") else insight.create_time),
            insight.title,
        )
        for insight in found
    ]
    print_table("", ["id", "category", "type", "confidence #", "", "found", "title"], rows)


def _print_one(insight: Insight, *, json_output: bool) -> None:
    if json_output:
        print_json(insight)
        return
    facts: list[tuple[str, object]] = [
        ("insight", insight.id),
        ("title", insight.title),
        ("", insight.description),
        ("category", named(InsightCategory.DESCRIPTOR, insight.category)),
        ("type", insight.insight_type),
        ("confidence", decimal(insight.confidence_score)),
        ("found", when(insight.create_time)),
        ("came back", when(insight.reopen_time)),
        ("changed", when(insight.update_time)),
        ("expires", when(insight.expire_time)),
        ("dismissed", f"{when(insight.dismiss_time)} by {insight.dismissed_by}" if insight.HasField("dismiss_time") else ""),
        ("viewed by you", "yes" if insight.viewed_by_me else "no"),
        ("source", _source(insight.provenance)),
    ]
    print_facts("", facts)
    numbers = MessageToDict(insight.data_points)
    if numbers:
        print_table("Data", ["name", "value"], [(name, _value(value)) for name, value in sorted(numbers.items())])
    if insight.recommended_actions:
        rows = [
            (place, action.action, named(ActionPriority.DESCRIPTOR, action.priority), action.estimated_impact, action.resource_url)
            for place, action in enumerate(insight.recommended_actions, start=1)
        ]
        print_table("What to do", ["#", "action", "priority", "estimated impact", "where"], rows)


def _value(value: object) -> str:
    """A number as short as it is, a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else json.dumps(value)


def _source(provenance: InsightProvenance) -> str:
    as_of = provenance.facts_as_of
    model = f", {named(ModelType.DESCRIPTOR, provenance.model_type)} {provenance.model_version}" if provenance.model_version else ""
    return f"{provenance.detector}, facts up to {as_of.year:04}-{as_of.month:02}-{as_of.day:02}{model}"
