"""`analyticsctl report benchmarks` and `report insights`: what is withheld says why, what people wrote stays text."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import benchmarks_pb2 as pb
from analytics.v1 import insights_pb2
from analytics.v1 import tenant_service_pb2 as tenants

from server.ctl.report import of_benchmarks, of_insights
from server.ctl.report.drawing import png, svg
from server.ctl.report.html import ROWS_OF_A_PAGE
from server.ctl.report.page import page
from server.insights.model import Action, InsightType, Priority
from tests.benchmarks.contributing import PAY, TURNOVER, contribute, release, values
from tests.ctl.test_report_pages import HOSTILE, PNG, stands_alone
from tests.support import credentials
from tests.support.insights import finding, recorded
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from typer.testing import Result

    from tests.ctl.conftest import Ctl
    from tests.support.databases import Cluster
    from tests.support.live import Service

    Ran = Callable[..., Awaitable[Result]]

NOW = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service with the turnover of twelve technology organizations of one size, released, and one insight too many for a page."""
    async with shared_service(cluster, tmp_path_factory.mktemp("ctl-lists"), model=False, worker=False) as service:
        await contribute(cluster, service, values("tech", 12))
        await release(service)
        hostile = finding(
            "hostile", title=HOSTILE, description=f"{HOSTILE}\nsecond line", data_points={HOSTILE: HOSTILE, "cost": 1234.5},
            actions=(Action(HOSTILE, Priority.HIGH, HOSTILE, "https://example.org/x"),), insight_type=InsightType.BUDGET_OVERRUN,
        )  # fmt: skip
        await recorded(service.app.db, "acme", [hostile, *(finding(str(number)) for number in range(ROWS_OF_A_PAGE))])
        yield service


@pytest.fixture
def ran(shared: Service, ctl: Ctl) -> Ran:
    """Runs `analyticsctl report` beside the service."""

    async def run(*words: str, org: str = "acme", role: str = "viewer") -> Result:
        variables = {"ANALYTICSCTL_ADDRESS": shared.address, "ANALYTICSCTL_TOKEN": credentials.token(org, role)}
        return await asyncio.to_thread(ctl, "report", *words, **variables)

    return run


async def test_benchmarks_are_drawn_with_what_is_withheld_the_reason_and_the_own_value(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "b.html"
    result = await ran("benchmarks", TURNOVER, PAY, "--industry", "technology", "--compare", "--out", str(out), "--json", org="tech-003")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"title": "Benchmarks", "page": str(out), "picture": str(tmp_path / "b.png"), "rows": 10}
    read = stands_alone(out.read_text(encoding="utf-8"))
    assert read.tags.count("img") == 2
    for words in (
        "10 cells, 9 withheld",
        "Employee turnover rate, lower is better",
        "withheld: fewer than ten organizations",
        "instead: industry",
        "Why cells are withheld",
        "15.00 %",
        "13.00 %",
        "25 to 50",
    ):
        assert words in read.text, words
    assert (tmp_path / "b.png").read_bytes().startswith(PNG)


def test_a_withheld_cell_shows_no_figure_of_its_own() -> None:
    cell = pb.Benchmark(
        metric=TURNOVER, industry=tenants.INDUSTRY_TECHNOLOGY, unit=pb.BENCHMARK_UNIT_SHARE, percentile_50=0.4321, withheld=True,
        withheld_reason=pb.WITHHELD_REASON_DOMINATED,
    )  # fmt: skip
    content = page(of_benchmarks.report([cell], compare=False, made=NOW, source="here"))
    assert "43.21" not in content
    assert "one organization has more than a quarter of the weight" in content
    cell.withheld = False
    assert "43.21" in page(of_benchmarks.report([cell], compare=False, made=NOW, source="here"))


async def test_insights_are_shown_with_their_numbers_and_actions_and_a_hostile_title_does_nothing(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "i.html"
    result = await ran("insights", "--out", str(out), "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rows"] == ROWS_OF_A_PAGE + 1
    read = stands_alone(out.read_text(encoding="utf-8"))
    assert read.tags.count("img") == 3
    assert "script" not in read.tags
    # In the list, on the card, in its description, as name and as value, and as action and its effect.
    assert read.text.count(HOSTILE) >= 7
    assert read.tags.count("details") == 4
    assert f"Insights 1 to {ROWS_OF_A_PAGE} of {ROWS_OF_A_PAGE + 1}" in read.text
    for words in ("1,234.50", "Check overtime of September", "high priority", "93.0 %", "facts up to 2026-09-30", "second line"):
        assert words in read.text, words
    assert (tmp_path / "i.png").read_bytes().startswith(PNG)


async def test_a_limit_is_said_and_filters_hold(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "i.html"
    cut = await ran("insights", "--limit", "1", "--type", "payroll_cost_spike", "--out", str(out))
    assert cut.exit_code == 0, cut.stderr
    assert "1 insights, the newest of more" in out.read_text(encoding="utf-8")
    assert HOSTILE[:8] not in stands_alone(out.read_text(encoding="utf-8")).text


def test_nothing_to_show_is_a_page_that_says_so() -> None:
    for report in (
        of_insights.report([], cut=False, made=NOW, source="here"),
        of_benchmarks.report([], compare=True, made=NOW, source="here"),
    ):
        assert stands_alone(page(report)).text.count("0 ") >= 1
        assert png(report).startswith(PNG)


def test_an_insight_with_nothing_but_its_id_can_be_drawn() -> None:
    """A server of another release may leave out, or add, what this client does not know."""
    report = of_insights.report([insights_pb2.Insight(id="x", category=99, insight_type="$new_{type}")], cut=False, made=NOW, source="here")  # type: ignore[arg-type]  # of a later release
    assert "99" in stands_alone(page(report)).text
    for panel in report.panels:
        assert svg(panel).startswith(b"<?xml")
