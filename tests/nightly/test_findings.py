"""What a night finds with active models: in a demo organization with stories, in a large one, and in organizations of almost nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from statistics import fmean
from typing import TYPE_CHECKING

import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import insights_pb2 as pb
from analytics.v1 import models_pb2
from google.protobuf.json_format import MessageToDict

from server.ctl.demo_facts import requests
from server.ctl.demo_organizations import ORGANIZATIONS
from server.insights.model import CATEGORY_OF, InsightType
from tests.nightly.nights import FIVE, NIGHT, OCTOBER, TODAY, contract, months, pay, staff
from tests.support import made_facts
from tests.support.asking import new_org

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from tests.nightly.nights import Nights

pytestmark = pytest.mark.xdist_group("nightly findings")

MODELS = {
    InsightType.HIGH_TURNOVER_RISK: models_pb2.MODEL_TYPE_TURNOVER_PREDICTION,
    InsightType.BUDGET_OVERRUN: models_pb2.MODEL_TYPE_SPEND_FORECASTING,
    InsightType.CONTRACT_AT_RISK: models_pb2.MODEL_TYPE_CONTRACT_RISK,
    InsightType.CONTRACT_EXPIRING: models_pb2.MODEL_TYPE_CONTRACT_RISK,
}
DEMO = replace(ORGANIZATIONS[0], org_id="demo-nightly", employees=100)
LARGE = 450
TINY: Mapping[str, Sequence[Sequence[Message]]] = {
    "one-employee": [staff(1)],
    "four-employees": [staff(4), pay(months(0.0), FIVE[:4])],
    "one-exit": [[made_facts.exit_of(1)]],
    "one-month": [pay({OCTOBER: 900_000.0})],
    "three-months": [pay({OCTOBER - 2: 1.0, OCTOBER - 1: 1.0, OCTOBER: 900_000.0})],
    "one-spend": [[made_facts.spend(1)]],
    "one-review": [[made_facts.review(1)]],
    "open-end": [[contract("c-1", None)]],
    "ended-contract": [[contract("c-1", TODAY - timedelta(days=400))]],
    "currencies": [pay({OCTOBER - back: 10.0 for back in range(24)}), pay({OCTOBER: 9e6}, ["e-6"], "USD")],
}


@dataclass(frozen=True)
class Night:
    """One night over all of them."""

    run: ops.JobRun
    demo: Sequence[pb.Insight]
    large: str
    tiny: dict[str, str]

    def of(self, kind: InsightType) -> Sequence[pb.Insight]:
        """The demo organization's insights of a type."""
        return [insight for insight in self.demo if insight.insight_type == kind]


@pytest.fixture(scope="module")
async def night(modelled: Nights) -> Night:
    """Everything loaded, and a run."""
    large, tiny = new_org(), {name: new_org() for name in TINY}
    await modelled.send(DEMO.org_id, requests(DEMO, TODAY))
    await modelled.load(large, staff(LARGE))
    for name, batches in TINY.items():
        await modelled.load(tiny[name], *batches)
    run = await modelled.run()
    return Night(run, await modelled.insights(DEMO.org_id), large, tiny)


async def test_all_six_types_in_all_four_categories_are_found(night: Night) -> None:
    assert {insight.insight_type for insight in night.demo} == set(InsightType)
    names = {pb.InsightCategory.Name(insight.category).removeprefix("INSIGHT_CATEGORY_").lower() for insight in night.demo}
    assert names == set(CATEGORY_OF.values())
    assert all(
        pb.InsightCategory.Name(insight.category).endswith(CATEGORY_OF[InsightType(insight.insight_type)].upper()) for insight in night.demo
    )


@pytest.mark.parametrize("kind", list(InsightType))
async def test_a_manager_reads_numbers_actions_and_until_when_it_holds(night: Night, kind: InsightType) -> None:
    assert night.of(kind)
    for insight in night.of(kind):
        assert re.search(r"\d", insight.title)
        assert len(re.findall(r"\d[\d,.]*", insight.description)) >= 2
        assert not re.search(r"\bnan\b|\binf\b|None", insight.title + insight.description)
        assert 0.5 <= insight.confidence_score <= (1.0 if kind is InsightType.CONTRACT_EXPIRING else 0.99)
        actions = list(insight.recommended_actions)
        assert len(actions) >= 2
        assert all(action.action and action.priority != pb.ACTION_PRIORITY_UNSPECIFIED for action in actions)
        assert re.search(r"\d", actions[0].estimated_impact)
        urgency = [pb.ACTION_PRIORITY_HIGH, pb.ACTION_PRIORITY_MEDIUM, pb.ACTION_PRIORITY_LOW]
        assert [urgency.index(action.priority) for action in actions] == sorted(urgency.index(action.priority) for action in actions)
        assert NIGHT < insight.expire_time.ToDatetime(UTC) <= NIGHT + timedelta(days=95)
        assert insight.create_time.ToDatetime(UTC) == NIGHT


@pytest.mark.parametrize("kind", list(InsightType))
async def test_every_insight_says_where_it_comes_from(night: Night, kind: InsightType) -> None:
    for insight in night.of(kind):
        source = insight.provenance
        assert re.fullmatch(r"[a-z]+/\d+", source.detector)
        assert (source.facts_as_of.year, source.facts_as_of.month) in {(2025, 9), (2025, 10), (2025, 11)}
        assert source.model_type == MODELS.get(kind, models_pb2.MODEL_TYPE_UNSPECIFIED)
        assert source.model_version == ("1.0.0" if kind in MODELS else "")


async def test_of_many_flagged_at_most_fifty_are_named_and_five_explained(modelled: Nights, night: Night) -> None:
    insight = await modelled.only(night.large)
    points = MessageToDict(insight.data_points)
    assert points["affectedEmployeeCount"] > 50
    assert points["headcount"] == LARGE
    named = points["employees"]
    assert len(named) == len(set(named)) == 50
    assert set(named) <= {person.employee_key for person in staff(LARGE)}
    assert points["explainedEmployeeCount"] == 5
    assert points["drivers"]
    assert not any(key in insight.title + insight.description for key in named)


async def test_what_a_leaver_costs_is_told_of_the_pay_of_all_and_not_of_the_flagged(modelled: Nights, org: str) -> None:
    people = staff(40)
    await modelled.load(org, people, pay({OCTOBER: 1_000.0}))
    await modelled.run()
    points = MessageToDict((await modelled.only(org)).data_points)
    pays = {person.employee_key: person.attributes.monthly_income for person in people}
    of_all, of_flagged = (6 * fmean(each) for each in (pays.values(), [pays[key] for key in points["employees"]]))
    assert points["replacementCostPerLeaver"] == float(f"{of_all:.1e}") != float(f"{of_flagged:.1e}")


async def test_pseudonyms_stand_in_one_data_point_of_one_type_and_are_the_organizations_own(night: Night) -> None:
    prefix = f"{DEMO.key_prefix}-"
    for insight in night.demo:
        points = MessageToDict(insight.data_points)
        named = points.pop("employees", [])
        assert bool(named) == (insight.insight_type == InsightType.HIGH_TURNOVER_RISK)
        assert all(key.startswith(prefix) for key in named)
        assert len(named) <= 50
        assert not any(key in str(points) + insight.title + insight.description for key in named)


async def test_what_is_found_is_what_the_stories_tell(night: Night) -> None:
    (spike,) = night.of(InsightType.PAYROLL_COST_SPIKE)
    assert 0.3 < spike.data_points["excessShare"] < 0.6  # type: ignore[operator]  # a number
    assert len(night.of(InsightType.PERFORMANCE_DECLINE)) == 1
    assert len(night.of(InsightType.BUDGET_OVERRUN)) == 3
    for expiring in night.of(InsightType.CONTRACT_EXPIRING):
        assert expiring.data_points["daysToEnd"] <= 90 or expiring.data_points["daysToNotice"] <= 30  # type: ignore[operator]  # numbers


async def test_the_run_counts_what_it_did(night: Night) -> None:
    counts, dealt = night.run.daily_metrics_result.counts, night.run.organizations
    assert counts["insights_created"] >= len(night.demo) + 1
    assert (counts["insights_updated"], counts["insights_withdrawn"]) == (0, 0)
    assert counts["benchmark_values"] >= 6
    # Two organizations and the pay of one, the pay in dollars, and the smallest department of the demo organization.
    assert counts["not_judged_too_few_employees"] == 5
    assert "not_judged_no_active_model" not in counts
    assert (dealt.total, dealt.done + dealt.skipped, dealt.failed) == (len(TINY) + 2, len(TINY) + 2, 0)


@pytest.mark.parametrize("name", list(TINY))
async def test_almost_nothing_gives_no_nonsense(modelled: Nights, night: Night, name: str) -> None:
    came = await modelled.came(night.run)
    org = night.tiny[name]
    assert came[org] in {(ops.JOB_RUN_OUTCOME_DONE, ""), (ops.JOB_RUN_OUTCOME_SKIPPED, "NO_FACTS")}
    assert await modelled.insights(org) == []


async def test_control_the_facts_of_tiny_organizations_are_judged_when_there_is_enough_of_them(modelled: Nights, org: str) -> None:
    await modelled.load(org, [contract("c-1", TODAY + timedelta(days=30), disputes=2, late=3)], pay(months(200_000.0)))
    await modelled.run()
    assert await modelled.kinds(org) == {"contract_expiring", "contract_at_risk", "payroll_cost_spike"}


async def test_a_second_run_changes_nothing_and_tells_nothing(modelled: Nights, night: Night) -> None:
    told = await modelled.told(DEMO.org_id)
    assert told == ["insight.created"] * len(night.demo)
    again = await modelled.run()
    assert await modelled.insights(DEMO.org_id) == night.demo
    assert await modelled.told(DEMO.org_id) == told
    counts = again.daily_metrics_result.counts
    assert [counts[f"insights_{what}"] for what in ("created", "updated", "reopened", "withdrawn")] == [0] * 4
    assert counts["insights_unchanged"] >= len(night.demo)


async def test_insights_of_one_organization_are_seen_by_no_other(modelled: Nights, night: Night) -> None:
    own = {insight.id for insight in night.demo}
    for other in (night.large, *night.tiny.values(), new_org()):
        assert not own & {insight.id for insight in await modelled.insights(other)}
    everywhere = [insight.id for org in (DEMO.org_id, night.large) for insight in await modelled.insights(org)]
    assert len(everywhere) == len(set(everywhere)) == len(own) + 1
