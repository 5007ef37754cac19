"""What a training reads: labelled rows of consenting organizations, without organization or subject."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import fact_service_pb2, tenant_service_pb2
from analytics.v1.contracts_pb2 import ContractOutcome as Outcome
from analytics.v1.payroll_pb2 import EmployeeExit
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2
from google.type.date_pb2 import Date
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.db.engines import DbRole
from server.errors import AnalyticsError
from server.facts.model import ATTRIBUTES
from server.ml.turnover import TURNOVER
from server.registry.model import ModelType
from server.training import store
from tests.support import facts, live, rows, runs, trained
from tests.support.leftovers import superuser
from tests.support.loading import load
from tests.support.made_facts import made, review
from tests.support.working import working
from workers import training
from workers.strategies import classifying
from workers.strategies.classifying import read_labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.db import ReadTx
    from server.training.model import PooledRows
    from tests.support.databases import Cluster
    from tests.support.live import Service
    from workers.strategies.classifying import Classifying

HIDDEN = ("employees", "tenant_switches", "organization_profiles", "audit_entries", "prediction_jobs", "prediction_starts",
          "idempotency_keys", "job_runs")  # fmt: skip


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends with a model that was trained before: these tests are about the rows."""
    monkeypatch.setattr(classifying, "train_classifier", trained.quick)


async def _pooled(service: Service) -> PooledRows:
    async with service.app.db.platform(DbRole.TRAINER) as tx:
        return (await store.pooled_turnover_rows(tx))()


def _plain(pooled: PooledRows) -> list[list[str]]:
    columns = [*pooled.columns.values(), pooled.labels, pooled.dates, pooled.held_out]
    return [[str(value) for value in column] for column in columns]


async def _consent(service: Service, org: str, *, given: bool) -> None:
    request = tenant_service_pb2.UpdateSwitchesRequest(
        switches=tenant_service_pb2.Switches(pooled_training=given), update_mask=FieldMask(paths=["pooled_training"])
    )
    await service.tenants.UpdateSwitches(request, metadata=live.bearer(org, "owner"))


async def test_rows_of_all_organizations_are_pooled_unless_one_says_no_and_again_when_it_says_yes(idle: Service) -> None:
    for number, org in enumerate(("acme", "blue", "coral")):
        await load(idle, live.bearer(org), rows.employees(10, start=10 * number))
    assert (len(await _pooled(idle)), (await _pooled(idle)).contributors) == (30, 3)
    await _consent(idle, "blue", given=False)
    left = await _pooled(idle)
    assert (len(left), left.contributors) == (20, 2)
    blue = {round(rows.attributes(seed).monthly_income, 2) for seed in range(10, 20)}
    assert blue.isdisjoint(left.columns["monthly_income"])
    await _consent(idle, "blue", given=True)
    assert len(await _pooled(idle)) == 30


async def test_of_an_employee_the_first_labelled_state_of_each_year_is_pooled_and_unlabelled_ones_never(idle: Service) -> None:
    who = live.bearer("acme")
    states = [rows.employee(1) for _ in range(4)]
    for income, (state, (year, month)) in enumerate(zip(states, ((2024, 3), (2025, 1), (2025, 3), (2026, 3)), strict=True), start=1):
        state.as_of.CopyFrom(Date(year=year, month=month, day=10))
        state.attributes.monthly_income = float(income)
    states[-1].ClearField("left_within_year")
    await load(idle, who, [*states, rows.employee(2, labelled=False)])
    pooled = await _pooled(idle)
    assert list(pooled.columns["monthly_income"]) == [1.0, 2.0]
    assert [day.year for day in pooled.dates.tolist()] == [2024, 2025]


@pytest.mark.parametrize("marked", [False, True], ids=["known by their exits", "marked beforehand"])
async def test_of_many_years_the_pooled_rows_hold_as_many_leavers_as_a_year_has(idle: Service, *, marked: bool) -> None:
    """Twenty people, states of every month of four years, and two who leave each July: in all eight of twenty, in a year one of nine."""
    who = live.bearer("acme")
    months = [(year, month) for year in range(2021, 2025) for month in range(1, 13)] + [(2025, 1)]
    leaves = {f"e-{2 * year + each}": Date(year=2021 + year, month=7, day=15) for year in range(4) for each in range(2)}
    states = []
    for person in rows.employees(20):
        gone = leaves.get(person.employee_key)
        person.ClearField("left_within_year")
        for year, month in months:
            if gone is None or (year, month) <= (gone.year, gone.month):
                state = type(person).FromString(person.SerializeToString())
                state.as_of.CopyFrom(Date(year=year, month=month, day=10))
                if marked and gone is not None and (year, month) >= (gone.year, gone.month - 1):
                    state.left_within_year = True
                states.append(state)
    await load(idle, who, states)
    assert (await load(idle, who, [EmployeeExit(employee_key=key, exit_date=day) for key, day in leaves.items()])).inserted == len(leaves)
    pooled = await _pooled(idle)
    # The oldest year has but January and February, and its people are at risk of the same July as those of the next.
    assert (len(pooled), int(pooled.labels.sum())) == (20 + 20 + 18 + 16, 4 * 2)


async def test_who_is_marked_as_leaving_counts_from_when_it_is_known_who_stayed(idle: Service) -> None:
    who = live.bearer("acme")
    people = rows.employees(8)
    for person in people[:5]:
        person.as_of.CopyFrom(Date(year=2024, month=1, day=31))
        person.left_within_year = person.employee_key == "e-0"
    for person in people[5:]:
        person.left_within_year = True
    await load(idle, who, people)
    assert [day.year for day in (await _pooled(idle)).dates.tolist()] == [2024] * 5
    people[7].left_within_year = False
    await load(idle, who, people)
    pooled = await _pooled(idle)
    assert (len(pooled), int(pooled.labels.sum())) == (8, 3)


async def test_a_contract_that_went_wrong_counts_from_its_agreed_end_on_and_one_that_was_renewed_at_once(idle: Service) -> None:
    loaded = [facts.contract(number) for number in range(6)]
    outcomes = (Outcome.CONTRACT_OUTCOME_TERMINATED, Outcome.CONTRACT_OUTCOME_RENEWED)
    ends = (Date(year=2098, month=1, day=1), Date(year=2024, month=1, day=1), None)
    for each, (outcome, end) in zip(loaded, itertools.product(outcomes, ends), strict=True):
        each.outcome = outcome
        each.ClearField("end_date")
        if end is not None:
            each.end_date.CopyFrom(end)
    assert (await load(idle, live.bearer("acme"), loaded)).inserted == 6
    async with idle.app.db.platform(DbRole.TRAINER) as tx:
        pooled = (await store.pooled_contract_rows(tx))()
    values = dict(zip(pooled.columns["value"], pooled.labels, strict=True))
    assert values == {float(each.value): number < 3 for number, each in enumerate(loaded) if number != 0}


async def test_ratios_of_targets_next_to_0_end_nobodys_training(idle: Service) -> None:
    least = 5e-324
    reviews = [review(1) for _ in range(4)]
    figures = ((1e6, 1e-303, 1e6), (least, least, 1e6), (0.0, 1e-310, 1e-309), (1.0, 2.0, 4.0))
    for year, (each, (score, target, scale)) in enumerate(zip(reviews, figures, strict=True), start=2021):
        each.review_date.year = year
        each.score, each.target, each.scale_max = score, target, scale
    assert (await load(idle, live.bearer("acme"), reviews)).inserted == 4
    async with idle.app.db.platform(DbRole.TRAINER) as tx:
        pooled = (await store.pooled_review_rows(tx))()
    columns = {name: dict(zip(pooled.dates.tolist(), pooled.columns[name], strict=True)) for name in ("target", "previous_ratio")}
    targets, ratios = ([column[day] for day in sorted(column)] for column in columns.values())
    assert targets == [0.0, 0.0, 0.0, 0.5]
    assert np.isnan(ratios[0])
    assert ratios[1:] == [1e6, 0.0, 0.0]


async def test_erased_employees_are_not_pooled(idle: Service) -> None:
    who = live.bearer("acme")
    await load(idle, who, rows.employees(5))
    erase = fact_service_pb2.DeleteFactsRequest(fact_set=fact_service_pb2.FACT_SET_EMPLOYEES, employee_key="e-3")
    await idle.facts.DeleteFacts(erase, metadata=who)
    assert len(await _pooled(idle)) == 4


DATED = {
    "employees": ("employee_key = 'e-3'", "as_of", store.pooled_turnover_rows),
    "contracts": ("contract_key = 'c-3'", "start_date", store.pooled_contract_rows),
    "performance_reviews": ("employee_key = 'e-3'", "review_date", store.pooled_review_rows),
}


@pytest.mark.parametrize("table", DATED)
async def test_a_stored_row_from_the_future_is_not_pooled_and_moves_nobodys_cutoff(cluster: Cluster, idle: Service, table: str) -> None:
    one, column, pooled = DATED[table]
    for org in ("acme", "blue"):
        assert (await load(idle, live.bearer(org), made(table, 4))).inserted == 4
    moved = f"UPDATE {table} SET {column} = (SELECT analytics_now()::date) + $1::int WHERE org_id = 'blue' AND {one}"  # noqa: S608 - as above
    cutoffs = {}
    for days in (0, 1, 20_000):
        async with superuser(cluster, idle) as connection:
            assert await connection.execute(moved, days) == "UPDATE 1"
        async with idle.app.db.platform(DbRole.TRAINER) as tx:
            found = (await pooled(tx))()
            today = (await tx.one(text("SELECT analytics_now()::date"))).analytics_now
        cutoffs[days] = (len(found), found.dates.max().item() < today)
    # The control: from today, the row is the newest one.
    assert cutoffs == {0: (8, False), 1: (7, True), 20_000: (7, True)}


async def test_an_employees_state_from_the_future_does_not_hide_the_one_before_it(cluster: Cluster, idle: Service) -> None:
    older, newer = rows.employee(1), rows.employee(1)
    older.as_of.year, newer.as_of.year = 2024, 2025
    await load(idle, live.bearer("acme"), [older, newer])
    async with superuser(cluster, idle) as connection:
        await connection.execute("UPDATE employees SET as_of = '2099-12-31' WHERE as_of = (SELECT max(as_of) FROM employees)")
    pooled = await _pooled(idle)
    assert [each.year for each in pooled.dates.tolist()] == [2024]


async def test_the_same_rows_in_another_order_pool_in_the_same_order(idle: Service) -> None:
    who = live.bearer("acme")
    await load(idle, who, rows.employees(30))
    first = await _pooled(idle)
    await idle.facts.DeleteFacts(
        fact_service_pb2.DeleteFactsRequest(fact_set=fact_service_pb2.FACT_SET_EMPLOYEES, everything=True), metadata=who
    )
    await load(idle, who, reversed(rows.employees(30)))
    assert _plain(await _pooled(idle)) == _plain(first)


async def test_rows_that_come_in_parts_are_the_same_in_the_same_order(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await load(idle, live.bearer("acme"), rows.employees(30))
    whole = _plain(await _pooled(idle))
    monkeypatch.setattr(store, "_PART", 7)
    assert _plain(await _pooled(idle)) == whole
    # The control: other rows are not the same.
    await load(idle, live.bearer("acme"), rows.employees(1, start=30))
    assert _plain(await _pooled(idle)) != whole


async def test_absent_values_of_pooled_rows_are_absent_and_truth_is_a_number(idle: Service) -> None:
    people = rows.employees(3)
    for person, over_time in zip(people, (True, False, None), strict=True):
        for name in ("over_time", "department", "monthly_income"):
            person.attributes.ClearField(name)
        if over_time is not None:
            person.attributes.over_time = over_time
            person.attributes.department = f"Sales {over_time}"
    assert (await load(idle, live.bearer("acme"), people)).inserted == 3
    pooled = await _pooled(idle)
    seen = sorted(zip(map(str, pooled.columns["over_time"]), map(str, pooled.columns["department"]), strict=True))
    assert seen == [("0.0", "Sales False"), ("1.0", "Sales True"), ("nan", "None")]
    assert np.isnan(np.asarray(pooled.columns["monthly_income"])).all()


async def test_no_rows_are_empty_columns(idle: Service) -> None:
    pooled = await _pooled(idle)
    assert (len(pooled), pooled.contributors, pooled.cutoff) == (0, 0, None)
    assert {len(column) for column in pooled.columns.values()} == {0}


@pytest.mark.parametrize("table", HIDDEN)
async def test_the_trainer_reads_no_table_of_the_tenants(idle: Service, table: str) -> None:
    await load(idle, live.bearer("acme"), rows.employees(1))
    with pytest.raises(DBAPIError, match="permission denied"):  # noqa: PT012 - what passed over the failure would fail at the commit
        async with idle.app.db.platform(DbRole.TRAINER) as tx:
            await tx.one(text("SELECT set_config('app.org_id', 'acme', true)"))
            await tx.all(text(f"SELECT 1 FROM {table}"))  # noqa: S608 - from the list above


@pytest.mark.parametrize("role", [DbRole.APP, DbRole.DISPATCH])
async def test_nobody_but_the_trainer_reads_the_pooled_rows(idle: Service, role: DbRole) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with idle.app.db.platform(role) as tx:
            await tx.all(text("SELECT 1 FROM pooled_turnover_rows"))


async def test_the_pooled_rows_show_neither_organization_nor_subject(cluster: Cluster, idle: Service) -> None:
    person = rows.employee(1)
    person.employee_key = "CANARY-subject"
    await load(idle, live.bearer("CANARY-org"), [person])
    async with idle.app.db.platform(DbRole.TRAINER) as tx:
        (pooled,) = await tx.all(text("SELECT p.*, p::text AS whole FROM pooled_turnover_rows p"))
    assert set(pooled.keys()) == {"contributor", "place", "held_out", "as_of", "left_within_year", "whole", *ATTRIBUTES}
    assert "CANARY" not in pooled.whole
    async with superuser(cluster, idle) as connection:
        # The control: where they do stand, they are seen.
        assert (await connection.fetchval("SELECT e::text FROM employees e")).count("CANARY") == 2


async def test_a_function_of_the_trainers_own_sees_no_row_that_the_view_filters(cluster: Cluster, idle: Service) -> None:
    """Without a security barrier a cheap function in WHERE is asked before the view's own condition."""
    await load(idle, live.bearer("acme"), rows.employees(3))
    await _consent(idle, "acme", given=False)
    async with superuser(cluster, idle) as connection:
        await connection.execute(
            "CREATE FUNCTION peek(double precision) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE EXCEPTION 'saw %', $1; END $$"
        )
    async with idle.app.db.platform(DbRole.TRAINER) as tx:
        assert await tx.all(text("SELECT 1 FROM pooled_turnover_rows WHERE peek(monthly_income)")) == []


@pytest.mark.usefixtures("fast")
async def test_consent_withdrawn_between_order_and_training_holds(idle: Service) -> None:
    for number, org in enumerate(("acme", "blue")):
        await load(idle, live.bearer(org), rows.employees(250, start=250 * number))
    run = await runs.start(idle)
    await _consent(idle, "blue", given=False)
    async with working(idle):
        done = await runs.ended(idle, run.id)
    assert done.state == ops.JOB_RUN_STATE_COMPLETED, done
    learned = sum(not out for out in (await _pooled(idle)).held_out)
    assert (done.train_result.organizations, done.train_result.model.training_rows) == (1, learned)
    assert 150 < learned < 250


@pytest.mark.usefixtures("fast")
async def test_too_few_rows_fail_the_run_and_activate_nothing(cluster: Cluster, service: Service) -> None:
    await load(service, live.bearer("acme"), rows.employees(150))
    await load(service, live.bearer("blue"), rows.employees(100))
    await _consent(service, "blue", given=False)
    failed = await runs.ended(service, (await runs.start(service)).id)
    assert (failed.state, runs.reason(failed)) == (ops.JOB_RUN_STATE_FAILED, "NOT_ENOUGH_TRAINING_DATA")
    assert failed.error.code == code_pb2.FAILED_PRECONDITION
    assert "150" in failed.error.message
    assert "200" in failed.error.message
    async with superuser(cluster, service) as connection:
        assert await connection.fetchval("SELECT count(*) FROM shared_models") == 0


async def test_rows_of_one_outcome_only_fail_the_run(service: Service) -> None:
    people = rows.employees(250)
    for person in people:
        person.left_within_year = False
    await load(service, live.bearer("acme"), people)
    failed = await runs.ended(service, (await runs.start(service)).id)
    assert (failed.state, runs.reason(failed)) == (ops.JOB_RUN_STATE_FAILED, "NOT_ENOUGH_TRAINING_DATA")


async def test_no_transaction_is_open_while_very_many_rows_become_columns(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes seconds, and the database ends a session that is idle in a transaction for five."""
    seen: list[int] = []
    loop = asyncio.get_running_loop()

    async def count() -> None:
        async with superuser(cluster, idle) as connection:
            seen.append(await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE xact_start < now() AND usename = 'trainer'"))

    async def read(tx: ReadTx, /) -> Callable[[], Classifying]:
        made = await read_labelled(TURNOVER, store.pooled_turnover_rows, tx)
        await count()
        return lambda: (asyncio.run_coroutine_threadsafe(count(), loop).result(30), made())[1]

    monkeypatch.setattr(training, "STRATEGIES", {ModelType.TURNOVER_PREDICTION: read})
    with pytest.raises(AnalyticsError, match="0 labelled rows"):
        await training.train_type(idle.app, ModelType.TURNOVER_PREDICTION, uuid4(), lambda _share, _words: None)
    # The first is the control: while rows are read, it is open.
    assert seen == [1, 0]
