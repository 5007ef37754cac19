"""GetBenchmarks: which cells, what stands in for a withheld one, the own value beside them, and nothing of anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from analytics.v1 import benchmarks_pb2 as pb
from analytics.v1 import tenant_service_pb2 as tenants
from google.protobuf.descriptor import FieldDescriptor

from server.benchmarks.catalogue import BY_NAME
from tests.benchmarks.contributing import PAY, TURNOVER, Value, contribute, release, values
from tests.ctl.terminal import Terminal
from tests.support import live
from tests.support.refusals import refusal
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("get benchmarks")

TECHNOLOGY, RETAIL = tenants.INDUSTRY_TECHNOLOGY, tenants.INDUSTRY_RETAIL
MIDDLE, LARGE = tenants.COMPANY_SIZE_RANGE_50_TO_200, tenants.COMPANY_SIZE_RANGE_5001_AND_MORE
TECH = 12


@pytest.fixture(scope="module")
async def filled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Twelve technology organizations of one size, eleven retailers spread over three, pay in two currencies; released."""
    async with shared_service(cluster, tmp_path_factory.mktemp("get"), model=False, worker=False) as service:
        rows = values("tech", TECH)
        for size, count in (("50-200", 4), ("201-1000", 4), ("5001+", 3)):
            rows += values(f"shop-{size}", count, "retail", size)
        rows += [Value(f"tech-{number:03}", 50_000 + 1_000 * number, metric=PAY, currency="EUR") for number in range(12)]
        rows += [Value(f"usd-{number}", 90_000 + 1_000 * number, metric=PAY, currency="USD") for number in range(10)]
        rows += [Value("tech-000", 12_345.0, metric="average_contract_value", currency="EUR")]
        await contribute(cluster, service, rows)
        await release(service)
        yield service


async def _get(service: Service, org: str = "somebody", /, **wanted: object) -> list[pb.Benchmark]:
    request = pb.GetBenchmarksRequest(**wanted)  # type: ignore[arg-type]  # its fields
    return list((await service.analytics.GetBenchmarks(request, metadata=live.bearer(org, "viewer"))).benchmarks)


async def test_a_request_for_nothing_in_particular_gets_every_metric_industry_and_size(filled: Service) -> None:
    found = await _get(filled)
    assert len(found) == 6 * 6 * 5
    assert len({(each.metric, each.industry, each.company_size_range) for each in found}) == len(found)
    assert [each.metric for each in found[::30]] == list(BY_NAME)
    assert {each.level for each in found} == {pb.BENCHMARK_LEVEL_INDUSTRY_AND_SIZE}


async def test_a_cell_says_its_quartiles_and_all_that_belongs_to_them(filled: Service) -> None:
    (cell,) = await _get(filled, metrics=[TURNOVER], industry=TECHNOLOGY, company_size_range=MIDDLE)
    assert (cell.percentile_25, cell.percentile_50, cell.percentile_75) == (0.12, 0.15, 0.18)
    assert (cell.unit, cell.direction, cell.currency) == (pb.BENCHMARK_UNIT_SHARE, pb.BENCHMARK_DIRECTION_LOWER_IS_BETTER, "")
    assert (cell.contributors, cell.withheld, cell.private) == (pb.CONTRIBUTOR_BAND_10_TO_19, False, False)
    assert cell.HasField("last_updated")
    assert not any(cell.HasField(name) for name in ("coarser", "own_value", "epsilon"))
    assert cell.position == pb.BENCHMARK_POSITION_UNSPECIFIED


async def test_a_withheld_cell_has_no_figures_and_the_closest_coarser_one_stands_beside_it(filled: Service) -> None:
    (cell,) = await _get(filled, metrics=[TURNOVER], industry=RETAIL, company_size_range=MIDDLE)
    assert (cell.withheld, cell.withheld_reason) == (True, pb.WITHHELD_REASON_TOO_FEW_ORGANIZATIONS)
    assert not any(cell.HasField(name) for name in ("percentile_25", "percentile_50", "percentile_75"))
    assert cell.contributors == pb.CONTRIBUTOR_BAND_UNSPECIFIED
    assert (cell.coarser.level, cell.coarser.industry, cell.coarser.company_size_range) == (pb.BENCHMARK_LEVEL_INDUSTRY, RETAIL, 0)
    assert cell.coarser.HasField("percentile_50")
    (elsewhere,) = await _get(filled, metrics=[TURNOVER], industry=TECHNOLOGY, company_size_range=LARGE)
    assert (elsewhere.withheld, elsewhere.coarser.level) == (True, pb.BENCHMARK_LEVEL_INDUSTRY)
    (nothing,) = await _get(filled, metrics=["contract_renewal_rate"], industry=RETAIL, company_size_range=MIDDLE)
    assert (nothing.withheld, nothing.HasField("coarser")) == (True, False)


@pytest.mark.parametrize(
    ("number", "position"),
    [
        (0, pb.BENCHMARK_POSITION_BELOW_25),
        (2, pb.BENCHMARK_POSITION_25_TO_50),
        (5, pb.BENCHMARK_POSITION_50_TO_75),
        (8, pb.BENCHMARK_POSITION_75_AND_ABOVE),
        (11, pb.BENCHMARK_POSITION_75_AND_ABOVE),
    ],
)
async def test_the_own_value_is_placed_on_request(filled: Service, number: int, position: pb.BenchmarkPosition.ValueType) -> None:
    wanted = {"metrics": [TURNOVER], "industry": TECHNOLOGY, "company_size_range": MIDDLE}
    (cell,) = await _get(filled, f"tech-{number:03}", **wanted, compare_to_mine=True)
    assert cell.own_value == pytest.approx(0.1 + number / 100)
    assert cell.position == position
    (plain,) = await _get(filled, f"tech-{number:03}", **wanted)
    assert (plain.HasField("own_value"), plain.position) == (False, pb.BENCHMARK_POSITION_UNSPECIFIED)


async def test_who_has_no_value_or_no_figures_to_compare_with_gets_no_position(filled: Service) -> None:
    for cell in await _get(filled, compare_to_mine=True):
        assert (cell.HasField("own_value"), cell.position) == (False, pb.BENCHMARK_POSITION_UNSPECIFIED)
    (own,) = await _get(
        filled, "tech-000", metrics=["average_contract_value"], industry=TECHNOLOGY, company_size_range=MIDDLE, compare_to_mine=True
    )
    assert (own.withheld, own.HasField("own_value"), own.position) == (True, False, pb.BENCHMARK_POSITION_UNSPECIFIED)
    (shop,) = await _get(filled, "shop-50-200-003", metrics=[TURNOVER], industry=RETAIL, company_size_range=MIDDLE, compare_to_mine=True)
    assert (shop.withheld, shop.position) == (True, pb.BENCHMARK_POSITION_75_AND_ABOVE)


async def test_money_is_answered_in_the_own_currency_else_the_usual_one_else_the_one_asked_for(filled: Service) -> None:
    wanted = {"metrics": [PAY], "industry": TECHNOLOGY, "company_size_range": MIDDLE}
    assert [(each.currency, each.percentile_50) for each in await _get(filled, "usd-3", **wanted)] == [("USD", 94_000)]
    assert [(each.currency, each.percentile_50) for each in await _get(filled, "nobody", **wanted)] == [("EUR", 55_000)]
    assert [each.currency for each in await _get(filled, "nobody", **wanted, currency="USD")] == ["USD"]
    (rare,) = await _get(filled, "tech-000", **wanted, currency="CHF", compare_to_mine=True)
    assert (rare.withheld_reason, rare.HasField("own_value")) == (pb.WITHHELD_REASON_NOT_RELEASED, False)


async def test_an_answer_holds_no_trace_of_another_organization(filled: Service, cluster: Cluster) -> None:
    """The same question gets the same bytes, whoever asks and whatever the others have: only the own value differs."""
    await contribute(cluster, filled, [Value("CANARY-victim", 1.234567)])
    answers = []
    for org in ("tech-001", "CANARY-victim", "nobody"):
        request = pb.GetBenchmarksRequest(metrics=[TURNOVER])
        answers.append((await filled.analytics.GetBenchmarks(request, metadata=live.bearer(org))).SerializeToString())
    assert answers[0] == answers[1] == answers[2]
    assert b"CANARY" not in answers[0]
    mine = await _get(filled, "CANARY-victim", metrics=[TURNOVER], compare_to_mine=True)
    theirs = await _get(filled, "nobody", metrics=[TURNOVER], compare_to_mine=True)
    assert {each.own_value for each in mine} == {1.234567}
    assert not any(each.HasField("own_value") for each in theirs)


@pytest.mark.parametrize("role", ["viewer", "analyst", "admin", "owner"])
async def test_every_reader_may_ask(filled: Service, role: str) -> None:
    answer = await filled.analytics.GetBenchmarks(pb.GetBenchmarksRequest(metrics=[TURNOVER]), metadata=live.bearer("a", role))
    assert len(answer.benchmarks) == 30


async def test_an_operator_may_not_ask(filled: Service) -> None:
    refused = await refusal(filled.analytics.GetBenchmarks(pb.GetBenchmarksRequest(), metadata=live.operator()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"metrics": ["profit"]}, "metrics[0]"),
        ({"metrics": [TURNOVER, TURNOVER]}, "metrics"),
        ({"industry": 77}, "industry"),
        ({"company_size_range": 9}, "company_size_range"),
        ({"currency": "euro"}, "currency"),
    ],
)
async def test_a_bad_request_names_the_field(filled: Service, bad: dict[str, object], field: str) -> None:
    refused = await refusal(_get(filled, **bad))
    assert (refused.code, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, {field})


async def test_before_the_first_release_every_cell_is_withheld_as_not_released(shared: Service) -> None:
    found = await _get(shared, metrics=[TURNOVER])
    assert {each.withheld_reason for each in found} == {pb.WITHHELD_REASON_NOT_RELEASED}
    assert not any(each.HasField("last_updated") for each in found)


def test_the_contract_allows_the_metrics_of_the_catalogue() -> None:
    part = pb.GetBenchmarksRequest.DESCRIPTOR.fields_by_name["metrics"]
    assert part.type == FieldDescriptor.TYPE_STRING
    rules = str(part.GetOptions())
    assert [name for name in BY_NAME if f'"{name}"' not in rules] == []
    assert rules.count("in: ") == len(BY_NAME)


async def test_the_command_line_shows_figures_what_stands_in_and_the_own_place(filled: Service, tmp_path: Path) -> None:
    terminal = Terminal(filled, tmp_path)
    shown = await terminal("benchmarks", TURNOVER, "--industry", "technology", "--size", "50_to_200", "--compare", org="tech-000")
    assert shown.code == 0, shown.err
    for words in ("0.1200", "0.1500", "0.1800", "10_to_19", "0.1000", "below_25"):
        assert words in shown.out
    withheld = await terminal("benchmarks", "contract_renewal_rate", "--industry", "retail", "--size", "50_to_200")
    assert "withheld: too_few_organizations" in withheld.out
    answer = (await terminal("benchmarks", TURNOVER, "--industry", "retail", "--json")).answer
    assert len(answer["benchmarks"]) == 5
    assert answer["benchmarks"][1]["coarser"]["level"] == "BENCHMARK_LEVEL_INDUSTRY"
