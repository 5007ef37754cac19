"""Rows -> checked and packed facts."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from analytics.v1.fact_service_pb2 import BatchResult, IngestFactsRequest, IngestFactsResponse, RowError

from server.ctl.csv_rows import Problem, Row
from server.ctl.fact_files import EMPLOYEES
from server.ctl.fact_rows import BATCH_ROWS, PROBLEMS_KEPT, Checked, check
from server.ctl.ingest import outcome
from server.ctl.mapping import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analytics.v1.employees_pb2 import Employee

HEADER = ("employee_key", "as_of", "job_level", "monthly_income", "department", "over_time", "left_within_year")


def checked(rows: Sequence[Sequence[str] | Problem], *maps: str) -> Checked:
    how = plan(EMPLOYEES, HEADER, maps=maps, today=datetime.date(2026, 3, 1))
    numbered = (row if isinstance(row, Problem) else Row(line, list(row)) for line, row in enumerate(rows, start=2))
    return check(numbered, how)


def employees(result: Checked) -> list[Employee]:
    return [row for batch in result.batches for row in IngestFactsRequest.FromString(batch.payload).employees.employees]


def row(key: str = "e1", date: str = "2026-01-31", level: str = "2", income: str = "5000", left: str = "no") -> tuple[str, ...]:
    return (key, date, level, income, "Sales", "Yes", left)


def test_a_row_becomes_an_employee_with_all_its_fields() -> None:
    (employee,) = employees(checked([row(left="Yes")]))
    assert employee.employee_key == "e1"
    assert (employee.as_of.year, employee.as_of.month, employee.as_of.day) == (2026, 1, 31)
    assert employee.left_within_year
    assert employee.attributes.job_level == 2
    assert employee.attributes.monthly_income == 5000
    assert employee.attributes.department == "Sales"
    assert employee.attributes.over_time


def test_an_empty_cell_is_an_absent_field_and_not_a_zero() -> None:
    (employee,) = employees(checked([row(level="", left="")]))
    assert not employee.attributes.HasField("job_level")
    assert not employee.HasField("left_within_year")


def test_a_row_without_any_known_attribute_is_valid() -> None:
    (employee,) = employees(checked([("e1", "2026-01-31", "", "", "", "", "")]))
    assert employee.HasField("attributes")


def test_a_translation_applies_without_regard_to_case_and_leaves_other_texts_alone() -> None:
    result = checked([row(left="GONE"), row("e2", left="no")], "left_within_year=left_within_year:gone=yes")
    assert [employee.left_within_year for employee in employees(result)] == [True, False]


def test_every_rule_of_the_contract_is_checked_before_sending() -> None:
    result = checked([row(level="11"), row("x" * 129), row(income="-1"), row("ok")])
    assert [(problem.line, problem.field) for problem in result.problems] == [(2, "job_level"), (3, "employee_key"), (4, "monthly_income")]
    assert "less than or equal to 10" in result.problems[0].reason
    assert (result.valid_rows, result.bad_rows) == (1, 3)


def test_a_row_tells_all_its_unreadable_fields_at_once() -> None:
    result = checked([row(level="x", income="y", date="z")])
    assert [problem.field for problem in result.problems] == ["as_of", "job_level", "monthly_income"]
    assert result.bad_rows == 1


def test_a_row_without_key_or_date_is_bad() -> None:
    result = checked([row(key=""), row(date="")])
    assert [(problem.field, problem.reason) for problem in result.problems] == [("employee_key", "is empty"), ("as_of", "is empty")]


def test_a_second_row_of_the_same_key_and_date_is_bad_and_names_the_first() -> None:
    result = checked([row(), row(income="1"), row(date="2026-02-28"), row("e2")])
    assert result.problems == [Problem(3, "employee_key", "the same employee_key and as_of as in line 2")]
    assert result.valid_rows == 3


def test_rows_that_are_no_csv_are_counted_among_the_bad() -> None:
    assert checked([Problem(2, "", "has 1 cells"), row()]).bad_rows == 1


def test_only_the_first_problems_are_kept_but_all_bad_rows_are_counted() -> None:
    result = checked([row(f"e{number}", level="x") for number in range(PROBLEMS_KEPT + 30)])
    assert len(result.problems) == PROBLEMS_KEPT
    assert result.bad_rows == PROBLEMS_KEPT + 30


def test_batches_are_no_larger_than_allowed_and_know_their_lines() -> None:
    result = checked([row(f"e{number}") for number in range(BATCH_ROWS + 1)])
    assert [len(batch.lines) for batch in result.batches] == [BATCH_ROWS, 1]
    assert result.batches[1].lines[0] == BATCH_ROWS + 2


def test_a_refused_row_of_a_batch_is_told_by_its_line() -> None:
    result = checked([row(f"e{number}") for number in range(BATCH_ROWS + 5)])
    answer = IngestFactsResponse(
        batches=[
            BatchResult(batch=0, inserted=1500, updated=100, unchanged=400),
            BatchResult(batch=1, errors=[RowError(row=3, field="attributes.job_level", description="no")], bad_rows=1),
        ]
    )
    summary = outcome(answer, result.batches)
    assert summary.problems == (Problem(BATCH_ROWS + 5, "job_level", "no"),)
    assert (summary.inserted, summary.updated, summary.unchanged, summary.bad_rows, summary.unwritten) == (1500, 100, 400, 1, 5)
