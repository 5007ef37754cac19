"""Benchmarks as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import benchmarks_pb2 as pb

from server.benchmarks.catalogue import BY_NAME, Direction, Unit
from server.benchmarks.look_up import Position, Question
from server.benchmarks.model import Band, Level, Withheld
from server.wire.tenants import industry, industry_message, size_range, size_range_message
from server.wire.times import timestamp

if TYPE_CHECKING:
    from server.benchmarks.look_up import Benchmark
    from server.benchmarks.model import Shown

_LEVELS = {
    Level.INDUSTRY_AND_SIZE: pb.BENCHMARK_LEVEL_INDUSTRY_AND_SIZE,
    Level.INDUSTRY: pb.BENCHMARK_LEVEL_INDUSTRY,
    Level.SIZE: pb.BENCHMARK_LEVEL_SIZE,
    Level.OVERALL: pb.BENCHMARK_LEVEL_OVERALL,
}
_UNITS = {
    Unit.SHARE: pb.BENCHMARK_UNIT_SHARE,
    Unit.MONEY: pb.BENCHMARK_UNIT_MONEY,
    Unit.PERCENT: pb.BENCHMARK_UNIT_PERCENT,
    Unit.SCORE: pb.BENCHMARK_UNIT_SCORE,
}
_DIRECTIONS = {
    Direction.HIGHER: pb.BENCHMARK_DIRECTION_HIGHER_IS_BETTER,
    Direction.LOWER: pb.BENCHMARK_DIRECTION_LOWER_IS_BETTER,
    Direction.NEITHER: pb.BENCHMARK_DIRECTION_NEITHER,
}
_BANDS = {
    Band.NONE: pb.CONTRIBUTOR_BAND_UNSPECIFIED,
    Band.FROM_10: pb.CONTRIBUTOR_BAND_10_TO_19,
    Band.FROM_20: pb.CONTRIBUTOR_BAND_20_TO_49,
    Band.FROM_50: pb.CONTRIBUTOR_BAND_50_TO_99,
    Band.FROM_100: pb.CONTRIBUTOR_BAND_100_TO_499,
    Band.FROM_500: pb.CONTRIBUTOR_BAND_500_AND_MORE,
}
_WITHHELD = {
    Withheld.NO: pb.WITHHELD_REASON_UNSPECIFIED,
    Withheld.TOO_FEW: pb.WITHHELD_REASON_TOO_FEW_ORGANIZATIONS,
    Withheld.DOMINATED: pb.WITHHELD_REASON_DOMINATED,
    Withheld.COMPLEMENTARY: pb.WITHHELD_REASON_COMPLEMENTARY,
    Withheld.BUDGET_SPENT: pb.WITHHELD_REASON_BUDGET_SPENT,
    Withheld.NOT_RELEASED: pb.WITHHELD_REASON_NOT_RELEASED,
}
_POSITIONS = {
    None: pb.BENCHMARK_POSITION_UNSPECIFIED,
    Position.BELOW_25: pb.BENCHMARK_POSITION_BELOW_25,
    Position.FROM_25_TO_50: pb.BENCHMARK_POSITION_25_TO_50,
    Position.FROM_50_TO_75: pb.BENCHMARK_POSITION_50_TO_75,
    Position.FROM_75: pb.BENCHMARK_POSITION_75_AND_ABOVE,
}


def question(request: pb.GetBenchmarksRequest) -> Question:
    """Return what a request asks."""
    return Question(
        metrics=request.metrics,
        industry=industry(request.industry),
        size=size_range(request.company_size_range),
        currency=request.currency,
        compare=request.compare_to_mine,
    )


def benchmark_message(benchmark: Benchmark) -> pb.Benchmark:
    """Return the message of an answer."""
    message = _cell(benchmark.cell)
    if benchmark.offered is not None:
        message.coarser.CopyFrom(_cell(benchmark.offered))
    if benchmark.own is not None:
        message.own_value = benchmark.own
    message.position = _POSITIONS[benchmark.position]
    return message


def _cell(cell: Shown) -> pb.Benchmark:
    metric = BY_NAME[cell.sheet.metric]
    first, middle, third = cell.quartiles or (None, None, None)
    return pb.Benchmark(
        metric=metric.name,
        industry=industry_message(cell.place.industry),
        company_size_range=size_range_message(cell.place.size),
        level=_LEVELS[cell.level],
        unit=_UNITS[metric.unit],
        currency=cell.sheet.currency,
        direction=_DIRECTIONS[metric.direction],
        percentile_25=first,
        percentile_50=middle,
        percentile_75=third,
        contributors=_BANDS[cell.band],
        last_updated=timestamp(cell.updated_at),
        withheld=bool(cell.withheld),
        withheld_reason=_WITHHELD[cell.withheld],
        private=cell.epsilon is not None,
        epsilon=cell.epsilon,
    )
