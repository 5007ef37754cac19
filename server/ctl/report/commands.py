"""`analyticsctl report`: pages and pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.insights_pb2 import GetInsightsRequest, InsightCategory
from analytics.v1.models_pb2 import ModelState, ModelType

from server.ctl.benchmarks import CompareOption, CurrencyOption, IndustryOption, MetricsArgument, SizeOption, asked
from server.ctl.insights import list_insights
from server.ctl.models import list_models
from server.ctl.paging import enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import note, print_json
from server.ctl.report import of_benchmarks, of_insights, of_model, versions
from server.ctl.report.saving import checked, save

if TYPE_CHECKING:
    from server.ctl.report.model import Report

app = typer.Typer(no_args_is_help=True, help="One page that stands alone, and a picture beside it, of models, benchmarks and insights.")

MOST_INSIGHTS = 500
"""The newest so many are shown unless told otherwise."""

OutOption: TypeAlias = Annotated[
    Path,
    typer.Option("--out", metavar="FILE.html", help="Where to write the page; the picture goes beside it as FILE.png.", show_default=False),
]


@app.command()
def model(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example 1.2.0, or `active`, or the id.", show_default=False)],
    out: OutOption,
    *,
    type_: Annotated[str, typer.Option("--type", help="Of this model type, for example turnover.")] = "",
    json_output: JsonOption = False,
) -> None:
    """Show how good a model version is, and how it compares with the one before. Roles: admin, owner."""
    session = start(ctx, json_output=json_output)
    checked(out)
    kind = ModelType.ValueType(enum_filter(ModelType.DESCRIPTOR, "--type", type_))
    models = list_models(session.tenant, kind, ModelState.MODEL_STATE_UNSPECIFIED, 0)
    found = versions.compared(session.tenant, models, versions.chosen(models, version))
    _finish(of_model.report(found, datetime.now(UTC), session.tenant.address), out, of_model.rows(found), json_output=json_output)


@app.command()
def benchmarks(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    out: OutOption,
    metrics: MetricsArgument = None,
    *,
    industry: IndustryOption = "",
    size: SizeOption = "",
    currency: CurrencyOption = "",
    compare: CompareOption = False,
    json_output: JsonOption = False,
) -> None:
    """Show the anonymous benchmarks, with what is withheld and why."""
    connection = start(ctx, json_output=json_output).tenant
    checked(out)
    request = asked(metrics or [], industry=industry, size=size, currency=currency, compare=compare)
    found = connection.unary(AnalyticsServiceStub(connection.channel).GetBenchmarks, request).benchmarks
    report = of_benchmarks.report(found, compare=compare, made=datetime.now(UTC), source=connection.address)
    _finish(report, out, len(found), json_output=json_output)


@app.command()
def insights(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    out: OutOption,
    *,
    category: Annotated[str, typer.Option(help="Only this category: hr, finance, legal, operations.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Only this type, for example budget_overrun.")] = "",
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Only with at least this confidence.")] = 0.0,
    unviewed: Annotated[bool, typer.Option("--unviewed", help="Only those that you have not marked as viewed.")] = False,
    limit: LimitOption = MOST_INSIGHTS,
    json_output: JsonOption = False,
) -> None:
    """Show the organization's active insights, with the numbers behind them and what to do."""
    connection = start(ctx, json_output=json_output).tenant
    checked(out)
    wanted = GetInsightsRequest(
        category=InsightCategory.ValueType(enum_filter(InsightCategory.DESCRIPTOR, "--category", category)),
        insight_type=type_,
        min_confidence=min_confidence,
        unviewed_only=unviewed,
    )
    # One more than are shown tells whether there are more.
    found = list_insights(connection, wanted, limit + 1 if limit else 0)
    shown = found[:limit] if limit else found
    report = of_insights.report(shown, cut=len(found) > len(shown), made=datetime.now(UTC), source=connection.address)
    _finish(report, out, len(shown), json_output=json_output)


def _finish(report: Report, out: Path, rows: int, *, json_output: bool) -> None:
    picture = save(report, out)
    if json_output:
        print_json({"title": report.title, "page": str(out), "picture": str(picture), "rows": rows})
    else:
        note(f"{report.title}: {out} and {picture}")
