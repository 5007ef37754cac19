"""`analyticsctl benchmarks`: quartiles over organizations, and where the own values fall."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import typer
from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.benchmarks_pb2 import (
    Benchmark,
    BenchmarkLevel,
    BenchmarkPosition,
    BenchmarkUnit,
    ContributorBand,
    GetBenchmarksRequest,
    WithheldReason,
)
from analytics.v1.tenant_service_pb2 import CompanySizeRange, Industry

from server.ctl.paging import enum_filter
from server.ctl.program import JsonOption, start
from server.ctl.render import print_json, print_table, when
from server.ctl.values import named

MetricsArgument: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[METRIC]...", help="For example employee_turnover_rate; all when none is named.")
]
IndustryOption: TypeAlias = Annotated[str, typer.Option(help="Only this industry, for example technology.")]
SizeOption: TypeAlias = Annotated[str, typer.Option(help="Only this size: 1_to_49, 50_to_200, 201_to_1000, 1001_to_5000, 5001_and_more.")]
CurrencyOption: TypeAlias = Annotated[
    str, typer.Option(help="Currency of money, for example EUR; else the organization's own, or the most usual.")
]
CompareOption: TypeAlias = Annotated[bool, typer.Option("--compare", help="Show the organization's own values and where they fall.")]


def benchmarks(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    metrics: MetricsArgument = None,
    *,
    industry: IndustryOption = "",
    size: SizeOption = "",
    currency: CurrencyOption = "",
    compare: CompareOption = False,
    json_output: JsonOption = False,
) -> None:
    """Show the anonymous benchmarks: quartiles over organizations by industry and size.

    A cell that could tell something of a single organization is withheld; the closest coarser cell is shown in its place.
    """
    connection = start(ctx, json_output=json_output).tenant
    request = asked(metrics or [], industry=industry, size=size, currency=currency, compare=compare)
    answer = connection.unary(AnalyticsServiceStub(connection.channel).GetBenchmarks, request)
    if json_output:
        print_json(answer)
        return
    columns = ["metric", "industry", "size", "level", "P25 #", "P50 #", "P75 #", "unit", "organizations", "updated"]
    if compare:
        columns += ["own #", "falls"]
    print_table("", columns, [_row(each, compare=compare) for each in answer.benchmarks])


def asked(metrics: Sequence[str], *, industry: str, size: str, currency: str, compare: bool) -> GetBenchmarksRequest:
    """The request of the options.

    Raises:
        BadInput: no industry or size is called so.

    """
    return GetBenchmarksRequest(
        metrics=metrics,
        industry=Industry.ValueType(enum_filter(Industry.DESCRIPTOR, "--industry", industry)),
        company_size_range=CompanySizeRange.ValueType(enum_filter(CompanySizeRange.DESCRIPTOR, "--size", size)),
        compare_to_mine=compare,
        currency=currency,
    )


def _row(found: Benchmark, *, compare: bool) -> list[object]:
    shown = found.coarser if found.HasField("coarser") else found
    unit = found.currency or named(BenchmarkUnit.DESCRIPTOR, found.unit)
    row: list[object] = [
        found.metric,
        named(Industry.DESCRIPTOR, found.industry),
        named(CompanySizeRange.DESCRIPTOR, found.company_size_range),
    ]
    if shown.withheld:
        row += [f"withheld: {named(WithheldReason.DESCRIPTOR, found.withheld_reason)}", "", "", "", unit, "", when(found.last_updated)]
    else:
        figures = [f"{value:.4f}" for value in (shown.percentile_25, shown.percentile_50, shown.percentile_75)]
        level = named(BenchmarkLevel.DESCRIPTOR, shown.level) + (", with noise" if shown.private else "")
        row += [level, *figures, unit, named(ContributorBand.DESCRIPTOR, shown.contributors), when(shown.last_updated)]
    if compare:
        row += [
            f"{found.own_value:.4f}" if found.HasField("own_value") else "",
            named(BenchmarkPosition.DESCRIPTOR, found.position) if found.position else "",
        ]
    return row
