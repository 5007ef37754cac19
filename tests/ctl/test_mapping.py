"""Columns -> fields."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from server.ctl.fact_files import EMPLOYEES
from server.ctl.failures import BadInput, ExitCode
from server.ctl.mapping import Plan, last_month_end, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

TODAY = datetime.date(2026, 3, 15)
HEADER = ("EmployeeNumber", "MonthlyIncome", "Age", "Attrition", "Shoe Size")
KEY = "employee_key=EmployeeNumber"


def made(header: Sequence[str] = HEADER, *maps: str, constants: Sequence[str] = (), ignore: Sequence[str] = ()) -> Plan:
    return plan(EMPLOYEES, header, maps=maps, constants=constants, ignore=ignore, today=TODAY)


def columns(made_plan: Plan) -> dict[str, str]:
    return {rule.spec.name: rule.column for rule in made_plan.columns}


def test_a_column_of_the_same_name_is_mapped_by_itself() -> None:
    assert columns(made(HEADER, KEY)) == {"employee_key": "EmployeeNumber", "monthly_income": "MonthlyIncome"}


def test_a_column_of_a_usual_name_is_mapped_by_itself() -> None:
    assert columns(made((*HEADER, "NumCompaniesWorked"), KEY))["companies_worked"] == "NumCompaniesWorked"


def test_the_exact_name_wins_over_a_usual_one() -> None:
    assert columns(made(("EmployeeKey", "Education", "EducationLevel")))["education_level"] == "EducationLevel"


def test_what_the_person_says_wins_over_names() -> None:
    header = ("key", "MonthlyIncome", "BasePay")
    assert columns(made(header, "employee_key=key", "monthly_income=BasePay")) == {"employee_key": "key", "monthly_income": "BasePay"}


def test_every_column_is_used_or_ignored_with_a_reason() -> None:
    assert dict(made(HEADER, KEY).ignored) == {
        "Age": "protected attribute, never imported",
        "Attrition": "no field of this name",
        "Shoe Size": "no field of this name",
    }


def test_the_date_is_the_end_of_last_month_unless_said() -> None:
    assert [(rule.spec.name, rule.value) for rule in made(HEADER, KEY).constants] == [("as_of", datetime.date(2026, 2, 28))]
    said = made(HEADER, KEY, constants=["as_of=2026-01-31"])
    assert [(rule.spec.name, rule.value) for rule in said.constants] == [("as_of", datetime.date(2026, 1, 31))]


def test_a_column_for_the_date_leaves_no_default() -> None:
    assert made(("EmployeeKey", "as_of", "JobLevel")).constants == ()


@pytest.mark.parametrize(("today", "end"), [("2026-01-01", "2025-12-31"), ("2024-03-31", "2024-02-29")])
def test_the_month_before_ends_on_its_last_day(today: str, end: str) -> None:
    assert last_month_end(datetime.date.fromisoformat(today)) == datetime.date.fromisoformat(end)


def test_a_translation_is_kept_for_its_column() -> None:
    rule = next(rule for rule in made(HEADER, KEY, "left_within_year=Attrition:Gone=yes,Here=no").columns if rule.column == "Attrition")
    assert rule.translation == {"gone": "yes", "here": "no"}


def test_a_column_whose_name_looks_like_a_translation_is_found() -> None:
    assert columns(made(("id", "level:1=low"), "employee_key=id", "job_level=level:1=low"))["job_level"] == "level:1=low"


def test_a_column_is_found_without_regard_to_case() -> None:
    assert columns(made(HEADER, "employee_key=employee_number"))["employee_key"] == "EmployeeNumber"


def test_a_column_can_be_left_out() -> None:
    assert "monthly_income" not in columns(made((*HEADER, "JobLevel"), KEY, ignore=["MonthlyIncome"]))


def test_an_outcome_is_noticed() -> None:
    assert not made(HEADER, KEY).has_outcome
    assert made(HEADER, KEY, "left_within_year=Attrition").has_outcome
    assert made(HEADER, KEY, constants=["left_within_year=no"]).has_outcome


@pytest.mark.parametrize("name", ["age", "gender", "marital_status", "MaritalStatus", "Date of Birth"])
def test_a_protected_attribute_is_refused_as_a_field(name: str) -> None:
    with pytest.raises(BadInput, match="protected attribute"):
        made(HEADER, KEY, f"{name}=Shoe Size")
    with pytest.raises(BadInput, match="protected attribute"):
        made(HEADER, KEY, constants=[f"{name}=1"])


def test_a_protected_attribute_is_refused_as_the_column_behind_a_field() -> None:
    with pytest.raises(BadInput, match="'Age' is a protected attribute"):
        made(HEADER, KEY, "job_level=Age")


@pytest.mark.parametrize(
    ("maps", "constants", "part"),
    [
        (["employee_key"], [], "not of the form FIELD=COLUMN"),
        ([KEY, "monthly_incom=MonthlyIncome"], [], "'monthly_incom' is no field"),
        (["employee_key=Nummer"], [], "no column 'Nummer'"),
        ([KEY, KEY], [], "given twice"),
        ([KEY, "as_of=Attrition"], ["as_of=2026-01-31"], "both --map and --set"),
        ([KEY], ["as_of=31.1.2026"], "--set as_of"),
        ([KEY], ["employee_key=1"], "cannot be the same in every row"),
        ([KEY], ["job_level=NA"], "has no value"),
        ([KEY, "left_within_year=Attrition:Gone=maybe"], [], "neither yes nor no"),
        ([], [], "no column is mapped to employee_key"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(maps: list[str], constants: list[str], part: str) -> None:
    with pytest.raises(BadInput, match=part) as caught:
        made(HEADER, *maps, constants=constants)
    assert caught.value.exit_code is ExitCode.BAD_INPUT


def test_a_slip_of_the_pen_gets_a_suggestion() -> None:
    with pytest.raises(BadInput) as caught:
        made(HEADER, KEY, "monthly_incom=MonthlyIncome")
    assert caught.value.hint.startswith("did you mean monthly_income")


def test_two_columns_for_one_field_are_refused_until_one_is_chosen() -> None:
    header = ("EmployeeKey", "MonthlyIncome", "monthly_income")
    with pytest.raises(BadInput, match="both fit monthly_income"):
        made(header)
    assert columns(made(header, "monthly_income=monthly_income"))["monthly_income"] == "monthly_income"


def test_a_column_that_is_there_twice_cannot_be_mapped() -> None:
    with pytest.raises(BadInput, match="more than one column 'a'"):
        made(("EmployeeKey", "a", "a"), "job_level=a")


def test_one_column_cannot_fill_two_fields() -> None:
    with pytest.raises(BadInput, match="two fields"):
        made(HEADER, KEY, "department=Shoe Size", "job_role=Shoe Size")


def test_a_file_without_attributes_is_refused() -> None:
    with pytest.raises(BadInput, match="no column is mapped to an attribute"):
        made(("EmployeeKey", "Colour"))
