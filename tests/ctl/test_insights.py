"""`analyticsctl insights`: a table for people, JSON for scripts, and what can be done about one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from server.insights.model import InsightType
from tests.support import credentials
from tests.support.insights import finding, recorded
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from typer.testing import Result

    from tests.ctl.conftest import Ctl
    from tests.support.databases import Cluster
    from tests.support.live import Service

    Ran = Callable[..., Awaitable[Result]]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service without a worker, whose insights the tests record."""
    async with shared_service(cluster, tmp_path_factory.mktemp("ctl-insights"), model=False, worker=False) as service:
        yield service


@pytest.fixture
def ran(shared: Service, ctl: Ctl) -> Ran:
    """Runs `analyticsctl` beside the service, as an analyst of the organization `org`."""

    async def run(*words: str, org: str = "acme") -> Result:
        variables = {"ANALYTICSCTL_ADDRESS": shared.address, "ANALYTICSCTL_TOKEN": credentials.token(org)}
        return await asyncio.to_thread(ctl, *words, **variables)

    return run


def answered(result: Result) -> Any:  # noqa: ANN401 - a document of a test
    """What was printed, as JSON."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def error(result: Result) -> Any:  # noqa: ANN401 - as above
    """What the server refused."""
    assert result.exit_code == 1, result.stdout
    return json.loads(result.stderr)["error"]


async def test_insights_are_listed_filtered_shown_viewed_and_dismissed(shared: Service, ran: Ran) -> None:
    leavers = finding("b", title="7 people may leave", insight_type=InsightType.HIGH_TURNOVER_RISK, confidence=0.5)
    await recorded(shared.app.db, "acme", [finding("a", title="Payroll is high"), leavers])
    table = (await ran("insights")).stdout
    for word in ("payroll_cost_spike", "Payroll is high", "0.930", "hr", "new"):
        assert word in table
    for words, title in (
        (("--category", "hr"), "7 people may leave"),
        (("--type", "high_turnover_risk"), "7 people may leave"),
        (("--min-confidence", "0.9"), "Payroll is high"),
        (("--limit", "1", "--category", "finance"), "Payroll is high"),
    ):
        assert [insight["title"] for insight in answered(await ran("insights", *words, "--json"))["insights"]] == [title]
    (insight,) = answered(await ran("insights", "--category", "finance", "--json"))["insights"]
    shown = (await ran("insights", "show", insight["id"])).stdout
    for word in ("412000.5", "349000", "[1.0, 2.5, null]", "Check overtime of September", "high", "facts up to 2026-09-30"):
        assert word in shown
    assert "1 marked as viewed" in (await ran("insights", "viewed", insight["id"])).stderr
    unviewed = answered(await ran("insights", "--unviewed", "--json"))["insights"]
    assert [each["title"] for each in unviewed] == ["7 people may leave"]
    dismissed = answered(await ran("insights", "dismiss", insight["id"], "--json"))
    assert (dismissed["id"], dismissed["viewed_by_me"], dismissed["dismissed_by"]) == (insight["id"], True, "user-1")
    assert error(await ran("insights", "show", insight["id"], "--json"))["reason"] == "INSIGHT_NOT_FOUND"


async def test_more_than_a_hundred_are_marked_in_several_calls(shared: Service, ran: Ran) -> None:
    await recorded(shared.app.db, "many", [finding(str(number)) for number in range(101)])
    ids = [insight["id"] for insight in answered(await ran("insights", "--json", "--limit", "0", org="many"))["insights"]]
    assert answered(await ran("insights", "viewed", *ids, "--json", org="many")) == {"viewed": ids}
    assert (await ran("insights", "--unviewed", org="many")).stdout.strip() == "none"


async def test_no_insights_are_said_and_what_is_wrong_is_explained(ran: Ran) -> None:
    assert (await ran("insights", org="nobody")).stdout.strip() == "none"
    wrong = await ran("insights", "--category", "weather", org="nobody")
    assert wrong.exit_code == 2
    assert "finance" in wrong.stderr
    refused = error(await ran("insights", "viewed", UNKNOWN, "--json", org="nobody"))
    assert (refused["reason"], refused["resource"]["name"]) == ("INSIGHT_NOT_FOUND", UNKNOWN)
