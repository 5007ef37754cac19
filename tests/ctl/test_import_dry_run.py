"""`analyticsctl import employees`, as far as it goes without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ctl.conftest import Ctl

REAL_FILE = Path(__file__).parents[3] / "shared" / "data" / "hr_ibm_attrition.csv"
GOOD = "EmployeeNumber,MonthlyIncome,Attrition\n1,5000,Yes\n2,4000,No\n"
BAD = GOOD + "3,abc,No\n3,4000\n"
MAPS = ("--map", "employee_key=EmployeeNumber", "--map", "left_within_year=Attrition", "--set", "as_of=2026-01-31")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "staff.csv"
    path.write_text(GOOD)
    return path


def test_a_dry_run_needs_no_server_and_no_token_and_shows_the_mapping(ctl: Ctl, file: Path) -> None:
    result = ctl("import", "employees", str(file), *MAPS, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "MonthlyIncome" in result.stdout
    assert "2 valid rows, 0 bad; dry run, nothing was sent" in result.stdout


def test_a_dry_run_tells_a_script_everything(ctl: Ctl, file: Path) -> None:
    result = ctl("import", "employees", str(file), *MAPS, "--dry-run", "--json")
    answer = json.loads(result.stdout)
    assert answer["mapping"] == {"employee_key": "EmployeeNumber", "monthly_income": "MonthlyIncome", "left_within_year": "Attrition"}
    assert answer["constants"] == {"as_of": "2026-01-31"}
    assert (answer["valid_rows"], answer["bad_rows"], answer["dry_run"], answer["sent"]) == (2, 0, True, False)


def test_bad_rows_are_listed_by_line_and_end_with_code_2(ctl: Ctl, file: Path) -> None:
    file.write_text(BAD)
    result = ctl("import", "employees", str(file), *MAPS, "--dry-run", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["problems"] == [
        {"line": 4, "field": "monthly_income", "reason": "'abc' is not a number"},
        {"line": 5, "field": "", "reason": "has 2 cells where the header has 3"},
    ]
    table = ctl("import", "employees", str(file), *MAPS, "--dry-run")
    assert "2 bad rows" in table.stderr
    assert "'abc' is not a number" in table.stderr


def test_bad_rows_can_be_left_out(ctl: Ctl, file: Path) -> None:
    file.write_text(BAD)
    assert ctl("import", "employees", str(file), *MAPS, "--dry-run", "--skip-bad-rows").exit_code == 0


def test_nothing_is_sent_when_a_row_is_bad(ctl: Ctl, file: Path) -> None:
    file.write_text(BAD)
    # Port 1 answers nobody: an attempt to send would end with code 3.
    result = ctl("import", "employees", str(file), *MAPS, "--address", "127.0.0.1:1", "--token", "t")
    assert result.exit_code == 2
    assert "nothing was sent" in result.stdout
    control = ctl("import", "employees", str(file), *MAPS, "--address", "127.0.0.1:1", "--token", "t", "--skip-bad-rows")
    assert control.exit_code == 3


def test_without_a_token_an_import_ends_before_the_file_is_read(ctl: Ctl, tmp_path: Path) -> None:
    result = ctl("import", "employees", str(tmp_path / "none.csv"), *MAPS)
    assert result.exit_code == 2
    assert "analyticsctl login --profile tenant" in result.stderr


def test_standard_input_is_read_for_a_dash(ctl: Ctl) -> None:
    assert ctl("import", "employees", "-", *MAPS, "--dry-run", stdin=GOOD).exit_code == 0


def test_a_file_with_a_header_only_sends_nothing(ctl: Ctl, file: Path) -> None:
    file.write_text("EmployeeNumber,MonthlyIncome,Attrition\n")
    result = ctl("import", "employees", str(file), *MAPS, "--dry-run")
    assert result.exit_code == 2
    assert "a header and no rows" in result.stdout


def test_a_protected_attribute_is_refused_with_the_reason(ctl: Ctl, file: Path) -> None:
    result = ctl("import", "employees", str(file), *MAPS, "--map", "gender=MonthlyIncome", "--dry-run")
    assert result.exit_code == 2
    assert "protected attribute" in result.stderr


def test_text_of_a_file_cannot_steer_the_terminal(ctl: Ctl, file: Path) -> None:
    file.write_text("EmployeeNumber,MonthlyIncome,\x1b[2J[bold]x\n1,\x1b[31m,1\n")
    result = ctl("import", "employees", str(file), "--map", "employee_key=EmployeeNumber", "--dry-run")
    assert "\x1b" not in result.output
    assert "[bold]x" in result.stdout


@pytest.mark.skipif(not REAL_FILE.exists(), reason=f"the published data set is not beside the checkout ({REAL_FILE})")
@pytest.mark.parametrize(
    "maps",
    [
        ("left_within_year=Attrition",),
        (
            "left_within_year=Attrition:Yes=true,No=false",
            "education_level=Education",
            "companies_worked=NumCompaniesWorked",
            "salary_hike_percent=PercentSalaryHike",
            "trainings_last_year=TrainingTimesLastYear",
            "years_since_promotion=YearsSinceLastPromotion",
            "years_with_manager=YearsWithCurrManager",
        ),
    ],
    ids=["usual names", "everything said"],
)
def test_the_published_attrition_file_is_read_completely(ctl: Ctl, maps: tuple[str, ...]) -> None:
    words = [word for text in ("employee_key=EmployeeNumber", *maps) for word in ("--map", text)]
    result = ctl("import", "employees", str(REAL_FILE), *words, "--set", "as_of=2026-01-31", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["valid_rows"], answer["bad_rows"]) == (1470, 0)
    assert len(answer["mapping"]) == 26
    assert {"Age", "Gender", "MaritalStatus"} < set(answer["ignored"])
