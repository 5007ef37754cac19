"""Text of people -> values."""

from __future__ import annotations

import datetime

import pytest
from analytics.v1.employees_pb2 import BusinessTravel, Employee, EmployeeAttributes
from analytics.v1.models_pb2 import ModelType
from analytics.v1.tenant_service_pb2 import CompanySizeRange

from server.ctl.fact_files import EMPLOYEES
from server.ctl.values import Unreadable, choice, normalized, read, short_names, spellings


def test_every_field_of_the_contract_is_known() -> None:
    expected = {field.name for field in (*Employee.DESCRIPTOR.fields, *EmployeeAttributes.DESCRIPTOR.fields)} - {"attributes"}
    assert set(EMPLOYEES.fields) == expected


@pytest.mark.parametrize("text", ["Yes", "y", "TRUE", "1", "on", " yes "])
def test_a_flag_is_read_as_yes(text: str) -> None:
    assert read(EMPLOYEES.fields["over_time"], text) is True


@pytest.mark.parametrize("text", ["No", "n", "false", "0", "OFF"])
def test_a_flag_is_read_as_no(text: str) -> None:
    assert read(EMPLOYEES.fields["over_time"], text) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Travel_Rarely", BusinessTravel.BUSINESS_TRAVEL_RARELY),
        ("Travel_Frequently", BusinessTravel.BUSINESS_TRAVEL_FREQUENTLY),
        ("Non-Travel", BusinessTravel.BUSINESS_TRAVEL_NONE),
        ("BUSINESS_TRAVEL_RARELY", BusinessTravel.BUSINESS_TRAVEL_RARELY),
        ("rarely", BusinessTravel.BUSINESS_TRAVEL_RARELY),
        ("none", BusinessTravel.BUSINESS_TRAVEL_NONE),
    ],
)
def test_travel_is_read_in_the_usual_spellings(text: str, expected: int) -> None:
    assert read(EMPLOYEES.fields["business_travel"], text) == expected


@pytest.mark.parametrize("text", ["", "  ", "NA", "n/a", "null", "NULL"])
def test_a_text_that_says_nothing_is_absent(text: str) -> None:
    assert read(EMPLOYEES.fields["monthly_income"], text) is None


def test_free_text_is_taken_as_it_is_even_when_it_looks_absent() -> None:
    assert read(EMPLOYEES.fields["department"], "NA") == "NA"
    assert read(EMPLOYEES.fields["department"], "") is None


def test_a_whole_number_may_be_written_with_a_zero_fraction() -> None:
    assert read(EMPLOYEES.fields["job_level"], "3.0") == 3


def test_a_date_is_read() -> None:
    assert read(EMPLOYEES.fields["as_of"], "2024-02-29") == datetime.date(2024, 2, 29)


@pytest.mark.parametrize(
    ("field", "text", "part"),
    [
        ("monthly_income", "5,993", "without thousands separators"),
        ("monthly_income", "abc", "not a number"),
        ("monthly_income", "nan", "not a number"),
        ("monthly_income", "inf", "not a number"),
        ("monthly_income", "1_000", "not a number"),
        ("monthly_income", "٣", "not a number"),
        ("monthly_income", "1e999", "too large"),
        ("job_level", "2.5", "not a whole number"),
        ("job_level", "99999999999", "too large"),
        ("over_time", "maybe", "neither yes nor no"),
        ("business_travel", "Sometimes-ish", "none of none, rarely, frequently"),
        ("as_of", "31.01.2026", "of the form 2026-01-31"),
        ("as_of", "2026-02-30", "not in the calendar"),
        ("as_of", "1949-12-31", "not between 1950-01-01 and 2100-12-31"),
        ("as_of", "20260131", "of the form"),
    ],
)
def test_a_text_that_is_no_value_says_what_is_allowed(field: str, text: str, part: str) -> None:
    with pytest.raises(Unreadable, match=part):
        read(EMPLOYEES.fields[field], text)


def test_a_long_or_steering_text_is_shown_short_and_harmless() -> None:
    with pytest.raises(Unreadable) as caught:
        read(EMPLOYEES.fields["monthly_income"], "\x1b[31m" + "x" * 1000)
    assert len(str(caught.value)) < 100
    assert "\x1b" not in str(caught.value)


def test_same_words_are_the_same_whatever_their_writing() -> None:
    assert normalized("MonthlyIncome") == normalized("monthly_income") == normalized("Monthly Income")


def test_enum_values_are_found_by_every_part_that_names_one_alone() -> None:
    assert choice(ModelType.DESCRIPTOR, "turnover") == ModelType.MODEL_TYPE_TURNOVER_PREDICTION
    assert choice(ModelType.DESCRIPTOR, "TURNOVER_PREDICTION") == ModelType.MODEL_TYPE_TURNOVER_PREDICTION
    assert choice(CompanySizeRange.DESCRIPTOR, "201_to_1000") == CompanySizeRange.COMPANY_SIZE_RANGE_201_TO_1000
    assert "prediction" not in spellings(ModelType.DESCRIPTOR)


def test_the_unspecified_value_cannot_be_chosen() -> None:
    with pytest.raises(Unreadable, match="none of turnover_prediction"):
        choice(ModelType.DESCRIPTOR, "unspecified")


def test_short_names_lose_the_prefix() -> None:
    assert short_names(ModelType.DESCRIPTOR)[1] == "turnover_prediction"
