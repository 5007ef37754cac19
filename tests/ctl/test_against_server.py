"""The program as its own process against a running service: import, train, predict, and the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.ctl.terminal import DEMO_ORGANIZATIONS, NORTHWIND, ROOT, Terminal
from tests.support import credentials, environment
from tests.support.live import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.demo import Demo

REAL_FILE = ROOT.parent / "shared" / "data" / "hr_ibm_attrition.csv"
STAFF = "key,Department,JobRole,MonthlyIncome,YearsAtCompany,Left\n1,Sales,Clerk,3000,2,no\n2,Sales,Clerk,{income},4,yes\n"
MAPS = ("--map", "employee_key=key", "--map", "left_within_year=Left", "--set", "as_of=2026-01-31")
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
async def terminal(cluster: Cluster, demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    """A service with demo organizations after their first night."""
    folder = tmp_path_factory.mktemp("ctl")
    database = await cluster.create_database(demo.database)
    async with running(environment.settings(cluster, database), folder) as service:
        yield Terminal(service, folder)
    await cluster.drop_database(database)


@pytest.fixture(scope="module")
async def idle(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    """A service without a worker and without data."""
    folder = tmp_path_factory.mktemp("ctl-idle")
    database = await cluster.create_database()
    async with running(environment.settings(cluster, database), folder, worker=False) as service:
        yield Terminal(service, folder)
    await cluster.drop_database(database)


def test_a_demo_says_what_it_loaded_and_which_models_are_active(demo: Demo) -> None:
    assert f"{DEMO_ORGANIZATIONS} organizations loaded" in demo.said
    assert demo.said.count(" 1.0.0") == 4


async def test_a_second_demo_finds_data_and_model_and_does_nothing(terminal: Terminal) -> None:
    second = (await terminal.demo("--json")).answer
    assert second["jobs_run"] == []
    assert set(second["rows_loaded"].values()) == {0}
    assert len(second["rows_loaded"]) == DEMO_ORGANIZATIONS


async def test_the_demo_shows_four_active_models_insights_of_every_category_and_withheld_benchmarks(terminal: Terminal) -> None:
    models = (await terminal("models", "--state", "active", "--json")).answer["models"]
    assert len({model["type"] for model in models}) == len(models) == 4
    insights = (await terminal("insights", "--limit", "0", "--json")).answer["insights"]
    assert {insight["category"].removeprefix("INSIGHT_CATEGORY_") for insight in insights} == {"HR", "FINANCE", "LEGAL", "OPERATIONS"}
    cells = (await terminal("benchmarks", "--json")).answer["benchmarks"]
    # A fifth of the crowd is too few for cells of industry and size; coarser ones are shown.
    assert any(cell.get("withheld") for cell in cells)
    assert any("percentile_50" in cell.get("coarser", cell) for cell in cells)


async def test_demo_credentials_of_an_unknown_key_are_told(terminal: Terminal) -> None:
    ended = await terminal.demo("--kid", "someone-elses")
    assert ended.code == 1
    assert "CREDENTIALS_INVALID" in ended.err


async def test_an_import_inserts_once_and_updates_what_changed(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_text(STAFF.format(income=4000))
    words = ("import", "employees", str(file), *MAPS, "--json")
    counts = []
    for income in (4000, 4000, 4500):
        file.write_text(STAFF.format(income=income))
        answer = (await terminal(*words, org="ctl-import")).answer
        counts.append((answer["inserted"], answer["updated"], answer["unchanged"]))
    assert counts == [(2, 0, 0), (0, 0, 2), (0, 1, 1)]
    stored = (await terminal("facts", "--json", org="ctl-import")).answer["fact_sets"]
    assert [(item["rows"], item["labelled_rows"]) for item in stored] == [("2", "2"), *[("0", "0")] * 5]


async def test_an_import_with_a_bad_row_writes_nothing(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_text(STAFF.format(income="much"))
    ended = await terminal("import", "employees", str(file), *MAPS, org="ctl-bad-row")
    assert ended.code == 2
    assert "'much' is not a number" in ended.err
    stored = (await terminal("facts", "--json", org="ctl-bad-row")).answer["fact_sets"]
    assert [item["rows"] for item in stored] == ["0"] * 6
    skipping = await terminal("import", "employees", str(file), *MAPS, "--skip-bad-rows", org="ctl-bad-row")
    assert skipping.code == 0
    assert "1 inserted" in skipping.out


async def test_an_import_without_the_role_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_text(STAFF.format(income=1))
    ended = await terminal("import", "employees", str(file), *MAPS, org="ctl-role", roles=("viewer",))
    assert ended.code == 1
    assert "ROLE_REQUIRED" in ended.err


@pytest.mark.skipif(not REAL_FILE.exists(), reason=f"the published data set is not beside the checkout ({REAL_FILE})")
async def test_the_published_attrition_file_is_loaded_and_predicted(terminal: Terminal) -> None:
    maps = ("--map", "employee_key=EmployeeNumber", "--map", "left_within_year=Attrition", "--set", "as_of=2026-01-31")
    loaded = (await terminal("import", "employees", str(REAL_FILE), *maps, "--json", org="ctl-ibm")).answer
    assert (loaded["inserted"], loaded["bad_rows"]) == (1470, 0)
    job = (await terminal("predict", "turnover", "--employee", "1", "--json", org="ctl-ibm")).answer
    assert job["state"] == "PREDICTION_JOB_STATE_COMPLETED"
    assert 0 <= job["turnover"]["score"] <= 1


async def test_a_prediction_is_asked_for_waited_for_and_shown(terminal: Terminal) -> None:
    ended = await terminal("predict", "turnover", "--employee", "northwind-0001", "--set", "over_time=yes", "--set", "distance_from_home=7")
    assert ended.code == 0, ended.err
    assert "COMPLETED" in ended.out
    assert "probability of leaving" in ended.out
    assert "log-odds" in ended.out


async def test_the_same_prediction_again_is_the_same_job(terminal: Terminal) -> None:
    words = ("predict", "turnover", "--employee", "northwind-0001", "--set", "distance_from_home=8")
    first = (await terminal(*words, "--json")).answer
    again = await terminal(*words)
    assert "predicted before" in again.err
    assert first["id"] in again.out
    shown = (await terminal("job", first["id"], "--json")).answer
    assert shown == first
    listed = (await terminal("jobs", "--json", "--limit", "0")).answer["jobs"]
    assert first["id"] in [job["id"] for job in listed]


async def test_a_watch_of_an_ended_job_shows_its_end(terminal: Terminal) -> None:
    job = (await terminal("predict", "turnover", "--employee", "northwind-0001", "--set", "distance_from_home=9", "--json")).answer
    ended = await terminal("watch", job["id"], "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == job


async def test_features_can_come_as_json(terminal: Terminal) -> None:
    features = {"department": "Sales", "job_role": "Clerk", "monthly_income": 3000, "years_at_company": 2, "business_travel": "rarely"}
    ended = await terminal("predict", "turnover", "--features-json", "-", "--json", stdin=json.dumps(features))
    assert ended.answer["state"] == "PREDICTION_JOB_STATE_COMPLETED"


async def test_a_missing_feature_is_named(terminal: Terminal) -> None:
    ended = await terminal("predict", "turnover", "--set", "department=Sales", "--json")
    error = ended.error
    assert error["reason"] == "INPUT_SCHEMA_MISMATCH"
    assert any("monthly_income" in violation["field"] for violation in error["violations"])
    assert error["request_id"]


async def test_an_unknown_employee_is_told(terminal: Terminal) -> None:
    ended = await terminal("predict", "turnover", "--employee", "nobody")
    assert ended.code == 1
    assert "EMPLOYEE_NOT_FOUND" in ended.err


async def test_a_job_that_waits_can_be_cancelled(terminal: Terminal) -> None:
    words = ("predict", "turnover", "--employee", "northwind-0001", "--set", "distance_from_home=11", "--delay", "3600", "--wait", "0")
    job = (await terminal(*words, "--json")).answer
    assert job["state"] == "PREDICTION_JOB_STATE_QUEUED"
    cancelled = await terminal("cancel", job["id"])
    assert (cancelled.code, "CANCELLED" in cancelled.out) == (0, True)
    waited = await terminal("job", job["id"], "--wait", "1")
    assert waited.code == 1
    read = await terminal("job", job["id"])
    assert read.code == 0


@pytest.mark.parametrize("words", [("watch",), ("job", "--wait", "60")], ids=["watch", "job"])
async def test_ctrl_c_says_that_the_job_goes_on_and_how_to_find_it(terminal: Terminal, words: tuple[str, ...]) -> None:
    asked = ("predict", "turnover", "--employee", "northwind-0001", "--set", "distance_from_home=13", "--delay", "3600", "--wait", "0")
    job = (await terminal(*asked, "--json")).answer
    ended = await terminal.interrupted(words[0], job["id"], *words[1:])
    assert (ended.code, ended.out) == (130, "")
    assert f"the job goes on. Follow it with: analyticsctl watch {job['id']}" in ended.err
    again = await terminal.interrupted(*asked[:-1], "60", "--json")
    assert (again.code, again.out) == (130, "")
    assert f"analyticsctl watch {job['id']}" in again.err
    assert (await terminal("job", job["id"], "--json")).answer["state"] == "PREDICTION_JOB_STATE_QUEUED"


async def test_a_job_of_another_organization_is_unknown(terminal: Terminal) -> None:
    job = (await terminal("predict", "turnover", "--employee", "northwind-0001", "--set", "distance_from_home=12", "--json")).answer
    foreign = await terminal("job", job["id"], "--json", org="demo-contoso")
    unknown = await terminal("job", UNKNOWN_ID, "--json", org="demo-contoso")
    assert foreign.error["reason"] == unknown.error["reason"] == "PREDICTION_JOB_NOT_FOUND"


async def test_a_malformed_id_names_its_field(terminal: Terminal) -> None:
    ended = await terminal("job", "abc")
    assert ended.code == 1
    assert "job_id" in ended.err


async def test_an_expired_token_asks_for_a_new_login(terminal: Terminal) -> None:
    ended = await terminal("jobs", token=credentials.token(NORTHWIND, lifetime=-600))
    assert ended.code == 1
    assert "CREDENTIALS_EXPIRED" in ended.err
    assert "analyticsctl login" in ended.err


async def test_a_training_is_followed_to_its_metrics(terminal: Terminal) -> None:
    ended = await terminal("train", "turnover_prediction", "--attach")
    assert ended.code == 0, ended.err
    for word in ("ROC AUC", "PR AUC", "Brier score", "calibration error", "organizations", "version"):
        assert word in ended.out
    models = (await terminal("models", "--type", "turnover", "--json")).answer["models"]
    assert [model["state"] for model in models].count("MODEL_STATE_ACTIVE") == 1
    runs = (await terminal("runs", "--json")).answer["runs"]
    shown = await terminal("run", runs[0]["id"], "--watch")
    assert shown.code == 0
    assert runs[0]["id"] in shown.out


async def test_a_second_training_names_the_first(idle: Terminal) -> None:
    first = (await idle("train", "turnover", "--no-wait", "--json")).answer
    second = await idle("train", "turnover", "--no-wait")
    assert second.code == 1
    assert "JOB_RUN_EXISTS" in second.err
    assert first["id"] in second.err
    attached = (await idle("train", "turnover", "--no-wait", "--attach", "--json")).answer
    assert attached["id"] == first["id"]


async def test_a_prediction_without_a_model_says_to_train_one(idle: Terminal) -> None:
    ended = await idle("predict", "spend", "--features-json", "-", stdin='{"a": 1}')
    assert ended.code == 1
    assert "NO_ACTIVE_MODEL" in ended.err
    assert "analyticsctl train" in ended.err


async def test_a_tenants_token_opens_no_platform_command(terminal: Terminal) -> None:
    ended = await terminal("runs", "--profile", "tenant")
    assert ended.code == 1
    assert "ROLE_REQUIRED" in ended.err


async def test_profile_and_switches_are_changed_and_read_back(terminal: Terminal) -> None:
    org = "ctl-profile"
    changed = (await terminal("profile", "set", "--display-name", "Acme", "--industry", "retail", "--json", org=org)).answer
    assert (changed["display_name"], changed["industry"]) == ("Acme", "INDUSTRY_RETAIL")
    stale = await terminal("profile", "set", "--display-name", "X", "--etag", "stale", org=org)
    assert "ETAG_MISMATCH" in stale.err
    assert "Acme" in (await terminal("profile", org=org)).out
    switches = (await terminal("switches", "set", "pooled_training=off", "--json", org=org)).answer
    assert (switches["pooled_training"], switches["benchmark_contribution"]) == (False, True)
    assert (await terminal("switches", "get", "--json", org=org)).answer == switches
    audit = (await terminal("audit", "--json", org=org)).answer["entries"]
    assert len(audit) == 2


async def test_erasing_takes_one_employee_or_all(terminal: Terminal, tmp_path: Path) -> None:
    file, org = tmp_path / "staff.csv", "ctl-erase"
    file.write_text(STAFF.format(income=1))
    await terminal("import", "employees", str(file), *MAPS, org=org)
    assert (await terminal("facts", "delete", "--employee", "1", "--yes", org=org)).out == "1 rows erased\n"
    everything = ("facts", "delete", "--set", "employees", "--everything", "--yes", "--json")
    assert (await terminal(*everything, org=org)).answer == {"deleted": "1"}
    assert "employees" in (await terminal("facts", org=org)).out


async def test_the_operator_sees_what_the_server_is(terminal: Terminal) -> None:
    info = (await terminal("info", "--json")).answer
    assert info["queue_reachable"] is True
    assert "PostgreSQL" in (await terminal("info")).out
