"""Files of every fact set: read as they were written, with the same rules for all."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest
from analytics.v1.fact_service_pb2 import BatchResult, FactSet, IngestFactsRequest, IngestFactsResponse, RowError
from analytics.v1.payroll_pb2 import PayrollEntry

from server.ctl.csv_rows import Problem, Row, opened
from server.ctl.fact_files import FACT_FILES, FactFile
from server.ctl.fact_rows import Checked, check
from server.ctl.failures import BadInput
from server.ctl.ingest import outcome
from server.ctl.mapping import PROTECTED, plan
from server.ctl.values import FieldKind, FieldSpec, Unreadable, normalized, read
from tests.support import fact_csv, public_data
from tests.support.made_facts import MEMBERS, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.ctl.conftest import Ctl

TODAY = date(2026, 3, 15)
PAY = ("employee_key", "period", "cost_centre", "pay_type", "gross_amount", "currency_code", "hours")


def of_member(member: str) -> FactFile:
    (kind,) = (kind for kind in FACT_FILES.values() if kind.place[0] == member)
    return kind


def checked(kind: str, header: Sequence[str], *rows: Sequence[str], constants: Sequence[str] = ()) -> Checked:
    how = plan(FACT_FILES[kind], header, constants=constants, today=TODAY)
    return check((Row(line, list(row)) for line, row in enumerate(rows, start=2)), how)


def of_file(kind: FactFile, file: Path) -> Checked:
    with opened(file) as (table, _, _):
        return check(table.rows(), plan(kind, table.header, today=TODAY))


def packed(kind: FactFile, result: Checked) -> Iterator[Message]:
    member, rows = kind.place
    for batch in result.batches:
        yield from getattr(getattr(IngestFactsRequest.FromString(batch.payload), member), rows)


def same(kind: FactFile, left: Message, right: Message) -> bool:
    """Whether two facts say the same; a month is one whatever its day, and 12.50 is 12.5."""
    for fact in (left, right):
        for name in fact.DESCRIPTOR.fields_by_name:
            spec = kind.fields.get(name)
            if spec is None:
                getattr(fact, name).SetInParent()
            elif spec.kind is FieldKind.MONTH:
                getattr(fact, name).day = 1
            elif spec.kind in (FieldKind.AMOUNT, FieldKind.SIGNED_AMOUNT) and getattr(fact, name):
                setattr(fact, name, read(spec, getattr(fact, name)))
    return left == right


def test_every_fact_set_of_the_contract_has_its_import() -> None:
    assert {kind.fact_set for kind in FACT_FILES.values()} == set(FactSet.values()) - {0}
    assert {kind.place[0] for kind in FACT_FILES.values()} == set(MEMBERS)
    for kind in FACT_FILES.values():
        named = {*kind.key, *kind.one_of[0], *kind.other_names.values(), *filter(None, (kind.identity[0], kind.outcome, kind.month_end))}
        assert named <= set(kind.fields), kind.command
        assert not {normalized(name) for name in (*kind.fields, *kind.other_names)} & PROTECTED


@pytest.mark.parametrize("member", MEMBERS)
def test_a_file_is_read_as_it_was_written(member: str, tmp_path: Path) -> None:
    kind, facts = of_member(member), made(member, 30)
    result = of_file(kind, fact_csv.write(tmp_path / "facts.csv", facts))
    assert (result.valid_rows, result.problems) == (30, [])
    assert all(same(kind, *pair) for pair in zip(packed(kind, result), facts, strict=True))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_natural_key_that_comes_twice_is_told_with_both_lines(member: str, tmp_path: Path) -> None:
    kind, facts = of_member(member), made(member, 4)
    result = of_file(kind, fact_csv.write(tmp_path / "facts.csv", [*facts, facts[1]]))
    (problem,) = result.problems
    assert (problem.line, problem.field) == (6, kind.key[0])
    assert problem.reason.endswith("as in line 3")
    assert result.valid_rows == 4


def test_two_days_of_a_month_are_one_month() -> None:
    rows = [("e1", month, "4711", "base", "10", "EUR", "") for month in ("2026-01", "2026-01-31", "2026-02")]
    result = checked("payroll", PAY, *rows)
    assert result.problems == [Problem(3, "employee_key", "the same employee_key, period, cost_centre and pay_type as in line 2")]
    first, _ = packed(FACT_FILES["payroll"], result)
    assert isinstance(first, PayrollEntry)
    assert (first.period.year, first.period.month, first.HasField("hours")) == (2026, 1, False)


@pytest.mark.parametrize("command", FACT_FILES)
def test_a_field_that_every_row_needs_must_come_from_somewhere(command: str) -> None:
    kind = FACT_FILES[command]
    needed = [spec.name for spec in kind.fields.values() if spec.required and spec.name != kind.month_end]
    assert set(kind.key) - {kind.month_end} <= set(needed)
    for name in needed:
        with pytest.raises(BadInput, match=f"no column is mapped to {name}, which") as caught:
            plan(kind, [each for each in kind.fields if each != name], today=TODAY)
        assert f"--map {name}=COLUMN" in caught.value.hint
    plan(kind, list(kind.fields), today=TODAY)


def test_a_score_that_is_missing_is_not_taken_for_zero() -> None:
    result = checked("reviews", ("employee_key", "review_date", "team", "score"), ("e1", "2026-01-31", "Sales", ""))
    assert result.problems == [Problem(2, "score", "is empty")]


def test_a_file_of_spend_needs_an_amount_or_a_budget() -> None:
    header = ("unit", "category", "month", "currency")
    with pytest.raises(BadInput, match="no column is mapped to an amount or a budget"):
        plan(FACT_FILES["spend"], header, today=TODAY)
    how = plan(FACT_FILES["spend"], (*header, "budget"), today=TODAY)
    assert {rule.spec.name: rule.column for rule in how.columns} == {
        "unit": "unit",
        "category": "category",
        "period": "month",
        "currency_code": "currency",
        "budget": "budget",
    }


def test_subjects_are_not_the_same_in_every_row_but_one_unit_may_be() -> None:
    with pytest.raises(BadInput, match="contract_key tells contracts apart"):
        plan(FACT_FILES["contracts"], ("value",), constants=["contract_key=1"], today=TODAY)
    how = plan(FACT_FILES["spend"], ("category", "period", "amount", "currency"), constants=["unit=leeds"], today=TODAY)
    assert [(rule.spec.name, rule.value) for rule in how.constants] == [("unit", "leeds")]


def test_what_is_wrong_with_a_cell_is_told_by_its_line_and_field() -> None:
    good = ("e1", "2026-01", "4711", "base", "10.5", "EUR", "160")
    bad = {
        ("gross_amount", "-3"): "'-3' is negative",
        ("gross_amount", "4,210.50"): "'4,210.50' is not a number; write it without thousands separators and with a decimal point",
        ("gross_amount", "1.23456"): "'1.23456' has more than 4 digits after the point",
        ("gross_amount", "1e-99999"): "'1e-99999' has more than 4 digits after the point",
        ("gross_amount", "1e999999"): "'1e999999' has more than 15 digits before the point",
        ("gross_amount", "0e" + "9" * 20): "'0e99999999999999999999' is not an amount",
        ("gross_amount", ""): "is empty",
        ("gross_amount", "NA"): "is empty",
        ("period", "2026-13"): "'2026-13' is not in the calendar",
        ("period", "2026-02-30"): "'2026-02-30' is not in the calendar",
        ("period", "01/2026"): "'01/2026' is not a month of the form 2026-01, nor a day in it",
        ("period", "5009-03"): "'5009-03' is not between 1950-01-01 and 2100-12-31",
        ("pay_type", "gift"): "'gift' is none of base, overtime, bonus, allowance, employer_cost, other",
        ("pay_type", ""): "is empty",
        ("cost_centre", ""): "is empty",
    }
    rows = [[text if name == field else cell for name, cell in zip(PAY, good, strict=True)] for field, text in bad]
    result = checked("payroll", PAY, *rows)
    expected = [Problem(line, field, reason) for line, ((field, _), reason) in enumerate(bad.items(), start=2)]
    assert result.problems == expected
    assert checked("payroll", PAY, good).valid_rows == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("12.50", "12.5"),
        ("12.000000", "12"),
        (" +7 ", "7"),
        ("-0.0", "0"),
        ("0e99", "0"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("1" * 15, "1" * 15),
    ],
)
def test_a_decimal_number_is_written_as_the_contract_wants_it_and_never_rounded(text: str, written: str) -> None:
    assert read(FieldSpec("gross_amount", FieldKind.AMOUNT), text) == written


def test_only_an_amount_that_may_be_negative_is() -> None:
    assert read(FieldSpec("amount", FieldKind.SIGNED_AMOUNT), "-12.50") == "-12.5"
    with pytest.raises(Unreadable, match="is negative"):
        read(FieldSpec("budget", FieldKind.AMOUNT), "-12.50")
    assert FACT_FILES["spend"].fields["amount"].kind is FieldKind.SIGNED_AMOUNT
    assert FACT_FILES["spend"].fields["budget"].kind is FieldKind.AMOUNT
    assert FACT_FILES["contracts"].fields["value"].kind is FieldKind.AMOUNT


def test_what_the_server_refuses_is_told_by_line_and_without_the_message_around_the_field() -> None:
    header = ("contract_key", "value", "currency", "start_date", "status")
    result = checked("contracts", header, *((f"c{number}", "1", "EUR", "2026-01-01", "active") for number in range(3)))
    errors = [RowError(row=1, field="currency_code", description="no"), RowError(row=2, field="attributes.category", description="no")]
    summary = outcome(IngestFactsResponse(batches=[BatchResult(batch=0, errors=errors, bad_rows=2)]), result.batches)
    assert summary.problems == (Problem(3, "currency_code", "no"), Problem(4, "category", "no"))
    assert summary.unwritten == 3


@pytest.mark.parametrize("command", FACT_FILES)
def test_every_import_tells_its_options_and_takes_no_protected_attribute(ctl: Ctl, command: str, tmp_path: Path) -> None:
    shown = ctl("import", command, "--help", COLUMNS="200")
    assert shown.exit_code == 0
    for word in ("--map", "--set", "--ignore", "--skip-bad-rows", "--dry-run", "--json", "Example: analyticsctl import"):
        assert word in shown.stdout
    file = tmp_path / "facts.csv"
    file.write_text("gender,x\nf,1\n")
    for words in (("--map", "gender=x"), ("--set", "marital_status=1"), ("--map", f"{FACT_FILES[command].key[0]}=gender")):
        refused = ctl("import", command, str(file), *words, "--dry-run")
        assert refused.exit_code == 2
        assert "protected attribute" in refused.stderr


@pytest.mark.parametrize("words", [(), ("--employee", "e", "--unit", "u"), ("--employee", "e", "--everything"), ("--set", "payroll")])
def test_an_erasure_names_exactly_one_thing(ctl: Ctl, words: tuple[str, ...]) -> None:
    refused = ctl("facts", "delete", *words, "--yes", "--token", "t")
    assert refused.exit_code == 2
    assert "exactly one" in refused.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [(("--everything",), "say which one by --set"), (("--set", "people", "--employee", "e"), "'people' is no fact set")],
)
def test_an_erasure_of_everything_and_of_an_unknown_set_is_refused(ctl: Ctl, words: tuple[str, ...], part: str) -> None:
    refused = ctl("facts", "delete", *words, "--yes", "--token", "t")
    assert refused.exit_code == 2
    assert part in refused.stderr
    assert "performance_reviews" in refused.stderr or "reviews" in refused.stderr


# Published files as they are, where their form allows it.


def imported(ctl: Ctl, command: str, name: str, *words: str) -> dict[str, object]:
    result = ctl("import", command, str(public_data.path(name)), *words, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, object] = json.loads(result.stdout)
    assert answer["bad_rows"] == 0
    return answer


def test_the_published_ratings_are_read_as_reviews_and_employees(ctl: Ctl) -> None:
    name, key = "perf_inx_future.csv", ("--map", "employee_key=EmpNumber")
    reviews = ("--map", "score=PerformanceRating", "--map", "team=EmpDepartment", "--set", "target=3", "--set", "review_date=2019-12-31")
    assert imported(ctl, "reviews", name, *key, *reviews)["valid_rows"] == 1200
    maps = ("department=EmpDepartment", "job_role=EmpJobRole", "business_travel=BusinessTravelFrequency", "left_within_year=Attrition")
    # The rating is the outcome, and the salary hike may follow from it.
    answer = imported(ctl, "employees", name, *key, *(word for text in maps for word in ("--map", text)), "--ignore", "PerformanceRating")
    assert answer["valid_rows"] == 1200
    assert {"Age", "Gender", "MaritalStatus", "PerformanceRating", "EmpLastSalaryHikePercent"} <= set(answer["ignored"])  # type: ignore[call-overload]  # a document


def test_the_published_telecom_contracts_are_read_as_they_are(ctl: Ctl) -> None:
    maps = (
        "contract_key=rownames",
        "outcome=churn:Yes=lapsed,No=renewed",
        "value=monthly_charges",
        "contract_type=contract",
        "tenure_months=tenure",
    )
    words = [word for text in maps for word in ("--map", text)]
    constants = ("currency_code=USD", "start_date=2018-01-01", "status=ended")
    answer = imported(ctl, "contracts", "modeldata_wa_churn.csv.gz", *words, *(word for text in constants for word in ("--set", text)))
    assert answer["valid_rows"] == 7043
    assert {"female", "senior_citizen", "partner", "dependents"} <= set(answer["ignored"])  # type: ignore[call-overload]  # a document


def test_the_published_spend_of_public_bodies_is_read_as_it_is(ctl: Ctl) -> None:
    maps = ("--map", "unit=body", "--map", "amount=total_gbp", "--set", "category=all", "--set", "currency_code=GBP")
    assert imported(ctl, "spend", "spend_uk_public_bodies_monthly.csv", *maps)["valid_rows"] == 1937


def test_a_date_of_the_year_5009_is_refused_with_its_line() -> None:
    rows = [
        ("1", "1", "USD", "2005-03-01", "ended", row["MaxOfEffectiveDate"][:10])
        for row in public_data.records("contracts_csis_dod_sample.csv.gz")
    ]
    header = ("contract_key", "value", "currency", "start_date", "status", "outcome_date")
    result = checked("contracts", header, *((f"c{number}", *row[1:]) for number, row in enumerate(rows)))
    years = {problem.reason.split("'")[1][:4] for problem in result.problems}
    assert years == {"5009", "2209"}
    assert len(rows) - result.bad_rows == result.valid_rows


# The others, and the same again, in the form that `tests/support/public_data.py` brings them into.


PUBLISHED: dict[str, tuple[str, Callable[[], Iterator[Message]], int]] = {
    "INX": ("reviews", public_data.inx_reviews, 1200),
    "INX employees": ("employees", public_data.inx_employees, 1200),
    "garments": ("reviews", public_data.garments_reviews, 1197),
    "CSIS": ("contracts", public_data.csis_contracts, 4334),
    "telecom": ("contracts", public_data.churn_contracts, 7043),
    "Baltimore": ("employees", lambda: public_data.baltimore_employees(before="01"), 200),
    "Baltimore exits": ("exits", lambda: public_data.baltimore_exits(before="01"), 20),
    "Baltimore pay": ("payroll", lambda: public_data.baltimore_payroll(before="01"), 200),
    "public bodies": ("spend", public_data.public_spend, 1800),
    "councils": ("spend", lambda: public_data.council_spend("harrogate"), 1000),
}


@pytest.mark.parametrize(("command", "source", "least"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_data_set_is_read_without_a_bad_row_and_as_it_was_written(
    command: str, source: Callable[[], Iterator[Message]], least: int, tmp_path: Path
) -> None:
    kind, facts = FACT_FILES[command], list(source())
    assert len(facts) >= least
    result = of_file(kind, fact_csv.write(tmp_path / "facts.csv", facts))
    assert (result.valid_rows, result.problems) == (len(facts), [])
    every = max(len(facts) // 200, 1)
    assert all(same(kind, *pair) for pair in list(zip(packed(kind, result), facts, strict=True))[::every])
