"""From night to night: what is found again, corrected, worse, dismissed, over; here without an active model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import fact_service_pb2 as facts
from analytics.v1 import insights_pb2 as pb
from analytics.v1 import payroll_pb2
from google.type.date_pb2 import Date

from server.insights.model import InsightType
from tests.nightly.nights import FIVE, NIGHT, OCTOBER, TODAY, contract, months, pay, staff
from tests.support import live, made_facts
from tests.support.insights import finding, recorded
from tests.support.leftovers import rows_of, superuser

if TYPE_CHECKING:
    from tests.nightly.nights import Nights

pytestmark = pytest.mark.xdist_group("nightly lives")

SPIKE = "payroll_cost_spike"


async def test_a_corrected_payroll_month_withdraws_its_spike(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(160_000.0)))
    await plain.run()
    assert await plain.kinds(org) == {SPIKE}
    await plain.load(org, pay({OCTOBER: 101_000.0}))
    run = await plain.run()
    assert await plain.insights(org) == []
    assert run.daily_metrics_result.counts["insights_withdrawn"] == 1
    assert await plain.told(org) == ["insight.created", "insight.updated"]


async def test_a_worse_value_updates_the_insight_in_its_place(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(140_000.0)))
    await plain.run()
    before = await plain.only(org)
    await plain.load(org, pay({OCTOBER: 180_000.0}))
    await plain.run()
    after = await plain.only(org)
    assert (after.id, after.revision) == (before.id, before.revision + 1)
    assert after.data_points["robustScore"] > before.data_points["robustScore"]  # type: ignore[operator]  # numbers
    assert ("180,000" in after.description, "180,000" in before.description) == (True, False)
    assert await plain.told(org) == ["insight.created", "insight.updated"]


async def test_a_dismissed_insight_stays_dismissed_until_it_is_worse(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(140_000.0)))
    await plain.run()
    shown = await plain.only(org)
    await plain.service.analytics.DismissInsight(pb.DismissInsightRequest(insight_id=shown.id), metadata=live.bearer(org))
    run = await plain.run()
    assert await plain.insights(org) == []
    assert run.daily_metrics_result.counts["insights_kept_dismissed"] >= 1
    await plain.load(org, pay({OCTOBER: 190_000.0}))
    await plain.run()
    back = await plain.only(org)
    assert (back.id, back.HasField("reopen_time"), back.viewed_by_me) == (shown.id, True, False)


async def test_a_spike_stays_as_it_is_while_its_month_is_one_of_the_two_newest_and_not_a_day_longer(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(160_000.0)))
    await plain.run()
    spike = await plain.only(org)
    assert spike.expire_time.ToDatetime(UTC) == datetime(2025, 12, 8, tzinfo=UTC)
    async with plain.at(datetime(2025, 12, 7, 3, tzinfo=UTC)):
        await plain.load(org, pay({OCTOBER + 1: 101_000.0}))
        await plain.run()
        stays = await plain.only(org)
        assert (stays.id, stays.revision, stays.description) == (spike.id, 1, spike.description)
        assert stays.expire_time.ToDatetime(UTC) == datetime(2026, 1, 8, tzinfo=UTC)
    async with plain.at(datetime(2026, 1, 3, 3, tzinfo=UTC)):
        await plain.load(org, pay({OCTOBER + 2: 101_500.0}))
        await plain.run()
        assert await plain.insights(org) == []
    assert await plain.told(org) == ["insight.created", "insight.updated"]


async def test_a_month_that_is_corrected_upwards_when_the_next_one_is_loaded_is_a_spike(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(100_000.0)))
    await plain.run()
    assert await plain.insights(org) == []
    await plain.load(org, pay({OCTOBER - 1: 300_000.0}))
    await plain.run()
    spike = await plain.only(org)
    assert (spike.data_points["month"], spike.data_points["amount"]) == ("2025-09", 300_000.0)


async def test_a_spike_that_is_corrected_when_the_next_month_is_loaded_is_told_anew_with_the_new_figure(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(300_000.0, OCTOBER - 1)))
    await plain.run()
    before = await plain.only(org)
    await plain.load(org, pay({OCTOBER - 1: 180_000.0, OCTOBER: 101_000.0}))
    await plain.run()
    after = await plain.only(org)
    assert (after.id, after.revision, after.data_points["amount"]) == (before.id, 2, 180_000.0)
    assert ("180,000" in after.description, "300,000" in after.description) == (True, False)
    await plain.load(org, pay({OCTOBER - 1: 101_000.0}))
    await plain.run()
    assert await plain.insights(org) == []


async def test_a_spike_whose_month_is_corrected_when_the_next_one_is_loaded_is_withdrawn(plain: Nights, org: str) -> None:
    async with plain.at(datetime(2025, 10, 21, 3, tzinfo=UTC)):
        await plain.load(org, pay(months(160_000.0, OCTOBER - 1)))
        await plain.run()
        assert await plain.kinds(org) == {SPIKE}
    async with plain.at(datetime(2025, 11, 2, 3, tzinfo=UTC)):
        await plain.load(org, pay({OCTOBER: 101_500.0, OCTOBER - 1: 100_700.0}))
        run = await plain.run()
        assert await plain.insights(org) == []
        assert run.daily_metrics_result.counts["insights_withdrawn"] == 1


async def test_control_a_spike_of_the_month_before_that_is_corrected_while_it_is_looked_for_goes(plain: Nights, org: str) -> None:
    await plain.load(org, pay(months(160_000.0)))
    await plain.run()
    await plain.load(org, pay({OCTOBER: 101_000.0}))
    async with plain.at(datetime(2025, 12, 2, 3, tzinfo=UTC)):
        await plain.run()
        assert await plain.insights(org) == []


async def test_what_one_person_is_paid_is_told_to_nobody_and_counted(plain: Nights, org: str) -> None:
    before = (await plain.run()).daily_metrics_result.counts["not_judged_too_few_employees"]
    await plain.load(org, pay(months(300_000.0), FIVE[:1]))
    counts = (await plain.run()).daily_metrics_result.counts
    assert await plain.insights(org) == []
    assert counts["not_judged_too_few_employees"] == before + 1


async def test_who_is_erased_has_no_part_in_any_spike_that_is_stored_and_the_next_night_finds_it_without_him(
    plain: Nights, org: str
) -> None:
    await plain.load(org, pay(months(300_000.0), [*FIVE, "e-6"]))
    await plain.run()
    before = await plain.only(org)
    await plain.service.facts.DeleteFacts(facts.DeleteFactsRequest(employee_key="e-1"), metadata=live.bearer(org))
    assert "insights" not in await rows_of(plain.cluster, plain.service, org)
    await plain.run()
    after = await plain.only(org)
    assert (before.data_points["amount"], after.data_points["amount"]) == (300_000.0, 250_000.0)
    await plain.service.facts.DeleteFacts(facts.DeleteFactsRequest(employee_key="e-2"), metadata=live.bearer(org))
    await plain.run()
    assert "insights" not in await rows_of(plain.cluster, plain.service, org)


async def test_without_facts_an_organization_is_skipped_by_name_and_its_old_insights_are_withdrawn(plain: Nights, org: str) -> None:
    await plain.load(org, staff(3))
    everything = facts.DeleteFactsRequest(fact_set=facts.FACT_SET_EMPLOYEES, everything=True)
    await plain.service.facts.DeleteFacts(everything, metadata=live.bearer(org))
    old = [finding("a"), finding("b", insight_type=InsightType.HIGH_TURNOVER_RISK), finding("c", insight_type=InsightType.CONTRACT_AT_RISK)]
    await recorded(plain.service.app.db, org, old)
    assert len(await plain.insights(org)) == 3
    run = await plain.run()
    assert await plain.insights(org) == []
    assert (await plain.came(run))[org] == (ops.JOB_RUN_OUTCOME_SKIPPED, "NO_FACTS")
    reason = next(each for each in run.organizations.reasons if each.reason == "NO_FACTS")
    assert (reason.outcome, reason.organizations) == (ops.JOB_RUN_OUTCOME_SKIPPED, run.organizations.skipped)


async def test_an_organization_of_which_only_exits_are_known_is_judged_and_they_are_counted(plain: Nights, org: str) -> None:
    gone = Date(year=TODAY.year, month=TODAY.month, day=1)
    await plain.load(org, [payroll_pb2.EmployeeExit(employee_key=f"e-{number}", exit_date=gone) for number in range(3)])
    run = await plain.run()
    assert (await plain.came(run))[org] == (ops.JOB_RUN_OUTCOME_DONE, "")
    assert run.daily_metrics_result.counts["not_judged_unknown_leaver"] >= 3


async def test_what_expired_long_ago_is_deleted_where_nothing_is_found_any_more(plain: Nights, org: str) -> None:
    await plain.load(org, staff(1))
    await recorded(plain.service.app.db, org, [finding("a", expires_at=NIGHT + timedelta(days=1))])
    async with plain.at(NIGHT + timedelta(days=170)):
        await plain.run()
        assert (await rows_of(plain.cluster, plain.service, org))["insights"] == 1
    async with plain.at(NIGHT + timedelta(days=190)):
        await plain.run()
        assert "insights" not in await rows_of(plain.cluster, plain.service, org)


async def test_a_night_clears_away_all_that_expired_however_many_transactions_it_takes(
    plain: Nights, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.insights.retire.MOST_AT_ONCE", 10)
    over = [finding(f"cost_centre/{number}", expires_at=NIGHT + timedelta(days=1)) for number in range(35)]
    await recorded(plain.service.app.db, org, over)
    await plain.load(org, pay(months(160_000.0)))

    async def count() -> tuple[int, int]:
        async with superuser(plain.cluster, plain.service) as connection:
            rows = await connection.fetch("SELECT listed FROM insights WHERE org_id = $1", org)
        return len(rows), sum(row["listed"] for row in rows)

    async with plain.at(NIGHT + timedelta(days=2)):
        await plain.run()
        assert await count() == (36, 1)
    async with plain.at(NIGHT + timedelta(days=190)):
        await plain.run()
        assert await count() == (1, 0)


async def test_of_more_than_are_told_the_same_are_told_every_night_and_one_that_made_room_comes_back_as_the_same_insight(
    plain: Nights, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.insights.detect.outcome.MOST_FINDINGS", 2)
    near, far = TODAY + timedelta(days=5), TODAY + timedelta(days=60)

    async def night() -> tuple[dict[str, str], int]:
        run = await plain.run()
        shown = {each.data_points["contractKey"]: each.id for each in await plain.insights(org)}
        return shown, run.daily_metrics_result.counts["not_judged_too_many_findings"]  # type: ignore[return-value]  # texts

    await plain.load(org, [contract(key, far) for key in ("c-1", "c-2", "c-3")])
    first, others = await night()
    assert set(first) == {"c-1", "c-2"}
    assert await night() == (first, others)
    assert await plain.told(org) == ["insight.created"] * 2
    await plain.load(org, [contract("c-4", near)])
    second, more = await night()
    assert (set(second), second["c-1"], more) == ({"c-1", "c-4"}, first["c-1"], others + 1)
    assert await plain.told(org) == ["insight.created"] * 3 + ["insight.updated"]
    await plain.load(org, [contract("c-4", far + timedelta(days=60))])
    assert await night() == (first, others)
    assert await plain.told(org) == ["insight.created"] * 3 + ["insight.reopened"] + ["insight.updated"] * 2


async def test_reviews_of_the_running_month_alone_are_facts_and_contribute_their_mean(plain: Nights, org: str) -> None:
    review = made_facts.review(1)
    review.review_date.CopyFrom(Date(year=TODAY.year, month=TODAY.month, day=3))
    await plain.load(org, [review])
    run = await plain.run()
    assert (await plain.came(run))[org] == (ops.JOB_RUN_OUTCOME_DONE, "")
    async with superuser(plain.cluster, plain.service) as connection:
        found = await connection.fetch("SELECT metric, value FROM organization_metrics WHERE org_id = $1", org)
    assert [(row["metric"], float(row["value"])) for row in found] == [("average_performance_score", 3.0)]


async def test_without_an_active_model_dates_and_pay_are_judged_and_the_rest_is_counted(plain: Nights, org: str) -> None:
    ends = TODAY + timedelta(days=20)
    spend = [made_facts.spend(1)]
    await plain.load(org, staff(30), [contract("c-1", ends, disputes=2, late=3)], pay(months(160_000.0)), spend)
    before = finding("contract/c-1", insight_type=InsightType.CONTRACT_AT_RISK)
    await recorded(plain.service.app.db, org, [before, finding("organization", insight_type=InsightType.HIGH_TURNOVER_RISK)])
    run = await plain.run()
    # What needs a model is neither found nor taken back.
    assert await plain.kinds(org) == {SPIKE, "contract_expiring", "contract_at_risk", "high_turnover_risk"}
    assert run.daily_metrics_result.counts["not_judged_no_active_model"] >= 2
    (spike,) = [each for each in await plain.insights(org) if each.insight_type == SPIKE]
    assert (spike.provenance.detector, spike.provenance.model_version) == ("payroll/1", "")


async def test_a_contract_past_its_end_that_is_marked_active_is_counted_and_not_told(plain: Nights, org: str) -> None:
    before = (await plain.run()).daily_metrics_result.counts["not_judged_contract_ended"]
    await plain.load(org, [contract("c-1", TODAY - timedelta(days=1)), contract("c-2", TODAY + timedelta(days=9))])
    assert (await plain.run()).daily_metrics_result.counts["not_judged_contract_ended"] == before + 1
    assert (await plain.only(org)).data_points["contractKey"] == "c-2"


async def test_the_facts_of_a_contract_are_as_of_the_day_they_were_loaded(plain: Nights, org: str) -> None:
    await plain.load(org, [contract("c-1", TODAY + timedelta(days=60))])
    async with plain.at(NIGHT + timedelta(days=5)):
        await plain.run()
        as_of = (await plain.only(org)).provenance.facts_as_of
    assert (as_of.year, as_of.month, as_of.day) == (TODAY.year, TODAY.month, TODAY.day)


async def test_without_exits_no_turnover_is_told_or_contributed_and_that_is_counted(plain: Nights, org: str) -> None:
    people = staff(12)
    for person in staff(12):
        person.as_of.CopyFrom(Date(year=2024, month=10, day=31))
        people.append(person)
    await plain.load(org, people)

    async def contributed() -> int | None:
        async with superuser(plain.cluster, plain.service) as connection:
            of_turnover = "SELECT count(*) FROM organization_metrics WHERE org_id = $1 AND metric = 'employee_turnover_rate'"
            found: int | None = await connection.fetchval(of_turnover, org)
        return found

    without = (await plain.run()).daily_metrics_result.counts["not_judged_no_exits"]
    assert await contributed() == 0
    await plain.load(org, [made_facts.exit_of(1), made_facts.exit_of(9_999)])
    counts = (await plain.run()).daily_metrics_result.counts
    assert await contributed() == 1
    assert counts["not_judged_no_exits"] == without - 1
    assert counts["not_judged_unknown_leaver"] >= 1


async def test_the_values_of_a_night_are_there_once_however_often_it_runs(plain: Nights, org: str) -> None:
    await plain.load(org, staff(10), pay(months(100_000.0)))
    for _ in range(2):
        await plain.run()
    async with superuser(plain.cluster, plain.service) as connection:
        found = await connection.fetch("SELECT metric, period FROM organization_metrics WHERE org_id = $1", org)
    assert [(row["metric"], row["period"]) for row in found] == [("payroll_cost_per_employee", TODAY.replace(day=1))]
