"""Published data sets as rows of the contract; the folder `shared/data` beside the repository has them, or the test is skipped.

What a file knows only because the outcome has come about is left out here, each with its reason, and so are protected
attributes (age, gender, marital status, family). Keys are numbers and hashes of the files, never names.
"""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import contracts_pb2, employees_pb2, payroll_pb2, performance_pb2, spend_pb2
from google.type.date_pb2 import Date
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TRAVEL = {
    "Non-Travel": employees_pb2.BUSINESS_TRAVEL_NONE,
    "Travel_Rarely": employees_pb2.BUSINESS_TRAVEL_RARELY,
    "Travel_Frequently": employees_pb2.BUSINESS_TRAVEL_FREQUENTLY,
}
INX_REVIEWED = date(2019, 12, 31)
"""The files of INX and of the telecom contracts have no dates; every row gets the same ones."""
CHURN_SEEN = date(2018, 1, 1)


def path(name: str) -> Path:
    """Return a published file; without it the calling test is skipped."""
    for parent in Path(__file__).parents:
        file = parent / "shared" / "data" / name
        if file.exists():
            return file
    pytest.skip(f"the published data are not there: {name} in shared/data beside the repository")


def day(value: date) -> Date:
    """Return a date as a message."""
    return Date(year=value.year, month=value.month, day=value.day)


def records(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file by column."""
    file = path(name)
    with (
        gzip.open(file, "rt", encoding="utf-8-sig", newline="")
        if file.suffix == ".gz"
        else file.open(encoding="utf-8-sig", newline="") as lines
    ):
        yield from csv.DictReader(lines)


def table(name: str, *only: tuple[str, str, str]) -> list[dict[str, object]]:
    """Return the rows of a Parquet file by column; `only` those for which all of (column, operator, value) hold."""
    rows: list[dict[str, object]] = parquet.read_table(path(name), filters=list(only) or None).to_pylist()
    return rows


def money(value: object) -> str:
    """Return an amount as the contract writes it, with two decimals."""
    return f"{Decimal(str(value)):.2f}"


# INX: 1,200 employees with a rating of 2, 3 or 4. The last salary hike may have been set after the rating, so it is left out.


def inx_employees() -> Iterator[employees_pb2.Employee]:
    """Yield the employees as they were on the day before the review, without salary hike and rating."""
    for row in records("perf_inx_future.csv"):
        known = employees_pb2.EmployeeAttributes(
            department=row["EmpDepartment"].strip(),
            job_role=row["EmpJobRole"].strip(),
            business_travel=TRAVEL[row["BusinessTravelFrequency"]],
            education_field=row["EducationBackground"],
            over_time=row["OverTime"] == "Yes",
            distance_from_home=float(row["DistanceFromHome"]),
            education_level=int(row["EmpEducationLevel"]),
            environment_satisfaction=int(row["EmpEnvironmentSatisfaction"]),
            job_involvement=int(row["EmpJobInvolvement"]),
            job_level=int(row["EmpJobLevel"]),
            job_satisfaction=int(row["EmpJobSatisfaction"]),
            relationship_satisfaction=int(row["EmpRelationshipSatisfaction"]),
            work_life_balance=int(row["EmpWorkLifeBalance"]),
            companies_worked=int(row["NumCompaniesWorked"]),
            total_working_years=float(row["TotalWorkExperienceInYears"]),
            trainings_last_year=int(row["TrainingTimesLastYear"]),
            years_at_company=float(row["ExperienceYearsAtThisCompany"]),
            years_in_current_role=float(row["ExperienceYearsInCurrentRole"]),
            years_since_promotion=float(row["YearsSinceLastPromotion"]),
            years_with_manager=float(row["YearsWithCurrManager"]),
        )
        yield employees_pb2.Employee(
            employee_key=row["EmpNumber"],
            as_of=day(INX_REVIEWED - timedelta(days=1)),
            attributes=known,
            left_within_year=row["Attrition"] == "Yes",
        )


def inx_reviews() -> Iterator[performance_pb2.PerformanceReview]:
    """Yield the ratings (2, 3, 4) with the middle one as the target; `inx_employees` has what else is known."""
    for row in records("perf_inx_future.csv"):
        yield performance_pb2.PerformanceReview(
            employee_key=row["EmpNumber"],
            review_date=day(INX_REVIEWED),
            team=row["EmpDepartment"].strip(),
            score=float(row["PerformanceRating"]),
            target=3,
            scale_max=4,
        )


def garments_reviews() -> Iterator[performance_pb2.PerformanceReview]:
    """Yield what sewing and finishing teams reached on a day beside what was planned; one row per team and day."""
    for row in records("perf_garments_worker_productivity.csv"):
        department = row["department"].strip().replace("sweing", "sewing")
        work = performance_pb2.WorkMeasures(
            standard_minutes=float(row["smv"]),
            overtime_minutes=float(row["over_time"]),
            incentive=float(row["incentive"]),
            idle_minutes=float(row["idle_time"]),
            idle_people=int(row["idle_men"]),
            changes=int(row["no_of_style_change"]),
            people=float(row["no_of_workers"]),
        )
        if row["wip"]:
            work.work_in_progress = float(row["wip"])
        yield performance_pb2.PerformanceReview(
            employee_key=f"{department}-{row['team_no']}",
            review_date=day(datetime.strptime(row["date"], "%m/%d/%Y").replace(tzinfo=UTC).date()),
            team=department,
            score=float(row["actual_productivity"]),
            target=float(row["targeted_productivity"]),
            work=work,
        )


def csis_contracts() -> Iterator[contracts_pb2.Contract]:
    """Yield US defence contracts; the outcome is whether change orders were needed (6.2 %).

    Terminations are too few to learn from: the 13 without a change order are TERMINATED, all others COMPLETED. Left out,
    because they hold what came later: obligated amounts and numbers of actions (they grow with every change order), the
    completion dates (the last of many; change orders move them), `SumOfUnmodified*`, and the unmodified number of offers
    (missing for nearly every changed contract). The value is without what change orders added. Three last dates in the years 2100,
    2209 and 5009 are not taken.
    """
    seen: set[str] = set()
    for row in records("contracts_csis_dod_sample.csv.gz"):
        key = row["CSIScontractID"]
        if key in seen:  # One contract stands there under two systems.
            continue
        seen.add(key)
        changed, terminated = int(row["MaxOfisChangeOrder"]) > 0, int(row["IsTerminated"]) > 0
        value = Decimal(row["Sumofbaseandalloptionsvalue"]) - Decimal(row["ChangeOrderBaseAndAllOptionsValue"])
        last = date.fromisoformat(row["MaxOfEffectiveDate"][:10])
        outcome = contracts_pb2.CONTRACT_OUTCOME_TERMINATED if terminated else contracts_pb2.CONTRACT_OUTCOME_COMPLETED
        yield contracts_pb2.Contract(
            contract_key=key,
            value=money(max(value, Decimal(0))),
            currency_code="USD",
            start_date=day(date.fromisoformat(row["MinOfEffectiveDate"][:10])),
            status=contracts_pb2.CONTRACT_STATUS_ENDED,
            outcome=contracts_pb2.CONTRACT_OUTCOME_CHANGED if changed else outcome,
            outcome_date=day(last) if last.year <= int(row["maxoffiscal_year"]) + 1 else None,
            attributes=_procurement(row),
        )


def _procurement(row: Mapping[str, str]) -> contracts_pb2.ContractAttributes:
    """Return what was known at the award."""
    known = contracts_pb2.ContractAttributes()
    texts = (("contract_type", "AwardOrIDVcontractactiontype"), ("category", "systemequipmentcode"), ("pricing", "TypeOfContractPricing"))
    for name, column in texts:
        if row[column] not in {"", "NA"}:
            setattr(known, name, row[column])
    if row["numberofoffersreceived"] != "NA":
        known.offers_received = int(row["numberofoffersreceived"])
    if row["IsSomeCompetition"] != "NA":
        known.competed = row["IsSomeCompetition"] == "1"
    return known


def churn_contracts() -> Iterator[contracts_pb2.Contract]:
    """Yield telecom contracts; a customer who left let the contract lapse, the others renewed.

    The value is that of one term. No end is given: the file has none, and one derived from the outcome would tell it.
    """
    terms = {"Month-to-month": 1, "One year": 12, "Two year": 24}
    options = ("online_security", "online_backup", "device_protection", "tech_support", "streaming_tv", "streaming_movies")
    services = ("multiple_lines", *options)
    for row in records("modeldata_wa_churn.csv.gz"):
        term, months, left = terms[row["contract"]], int(row["tenure"]), row["churn"] == "Yes"
        begun = CHURN_SEEN.year * 12 + CHURN_SEEN.month - 1 - months
        count = (row["phone_service"] == "1") + (row["internet_service"] != "No") + sum(row[name] == "Yes" for name in services)
        yield contracts_pb2.Contract(
            contract_key=f"contract-{row['rownames']}",
            counterparty_key=f"customer-{row['rownames']}",
            value=money(Decimal(row["monthly_charges"]) * term),
            currency_code="USD",
            start_date=Date(year=begun // 12, month=begun % 12 + 1, day=1),
            status=contracts_pb2.CONTRACT_STATUS_ENDED if left else contracts_pb2.CONTRACT_STATUS_ACTIVE,
            outcome=contracts_pb2.CONTRACT_OUTCOME_LAPSED if left else contracts_pb2.CONTRACT_OUTCOME_RENEWED,
            outcome_date=day(CHURN_SEEN),
            attributes=contracts_pb2.ContractAttributes(
                contract_type=row["contract"],
                category=row["internet_service"],
                payment_method=row["payment_method"],
                monthly_value=float(row["monthly_charges"]),
                term_months=term,
                tenure_months=months,
                services=count,
                support_included=row["tech_support"] == "Yes",
            ),
        )


# Baltimore: five fiscal years, each ending on 30 June; agencies W... are summer jobs of young people and are left out. Keys are
# hexadecimal hashes: all are before `g`, a sixteenth of the people before `1`.


def _baltimore(before: str) -> Iterator[tuple[date, Mapping[str, object]]]:
    """Yield the end of the fiscal year and the row; one row per person and year, rows without a hire date left out.

    The rows without a hire date share one key, since the key is a hash of name and hire date; three people hold two
    posts, of which the first counts.
    """
    seen: set[tuple[object, object]] = set()
    for row in table("hr_baltimore_payroll_panel_fy2012_2016.parquet", ("employee_id", "<", before)):
        key = (row["employee_id"], row["fiscal_year"])
        if row["hire_date"] is None or str(row["agency_group"]).startswith("W") or key in seen:
            continue
        seen.add(key)
        yield date(int(str(row["fiscal_year"])), 6, 30), row


def baltimore_employees(before: str = "g") -> Iterator[employees_pb2.Employee]:
    """Yield the state of each employee at the end of each fiscal year; FY2016 has no outcome yet."""
    for end, row in _baltimore(before):
        hired, salary = row["hire_date"], float(str(row["annual_salary"]))
        assert isinstance(hired, datetime)
        known = employees_pb2.EmployeeAttributes(
            department=str(row["agency"]).strip(),
            job_role=str(row["job_title"]).strip(),
            years_at_company=round(max((end - hired.date()).days, 0) / 365.25, 2),
        )
        if salary > 0:
            known.monthly_income = round(salary / 12, 2)
            if row["gross_pay"] is not None:
                known.paid_share = round(min(max(float(str(row["gross_pay"])) / salary, 0.0), 10.0), 4)
        employee = employees_pb2.Employee(employee_key=str(row["employee_id"]), as_of=day(end), attributes=known)
        if row["left_next_fy"] is not None:
            employee.left_within_year = bool(row["left_next_fy"])
        yield employee


def baltimore_exits(before: str = "g") -> Iterator[payroll_pb2.EmployeeExit]:
    """Yield who was not in the next year's file; the day is not known, so it is the middle of that year."""
    for end, row in _baltimore(before):
        if row["left_next_fy"] == 1:
            yield payroll_pb2.EmployeeExit(employee_key=str(row["employee_id"]), exit_date=Date(year=end.year, month=12, day=31))


def baltimore_payroll(before: str = "g") -> Iterator[payroll_pb2.PayrollEntry]:
    """Yield a twelfth of each year's gross pay as that of its last month; years without gross pay are left out."""
    for end, row in _baltimore(before):
        if row["gross_pay"] is not None:
            yield payroll_pb2.PayrollEntry(
                employee_key=str(row["employee_id"]),
                period=Date(year=end.year, month=end.month),
                cost_centre=str(row["agency"]).strip(),
                pay_type=payroll_pb2.PAY_TYPE_BASE,
                gross_amount=money(float(str(row["gross_pay"])) / 12),
                currency_code="USD",
            )


def public_spend() -> Iterator[spend_pb2.SpendEntry]:
    """Yield the spend of 17 public bodies per month; months of nothing are missing files, and are left out as gaps."""
    rows = [row for row in records("spend_uk_public_bodies_monthly.csv") if Decimal(row["total_gbp"]) != 0]
    whole = _whole_months((row["body"], row["month"]) for row in rows)
    for row in rows:
        if (row["body"], row["month"]) in whole:
            yield _spent(row["body"], "all", row["month"], row["total_gbp"])


def council_spend(body: str = "") -> Iterator[spend_pb2.SpendEntry]:
    """Yield the spend of five councils, or of one, per unit, category and month; the unit is `council/unit`."""
    only = [("body", "==", body)] if body else []
    rows = [row for row in table("spend_uk_council_unit_month.parquet", *only) if row["unit"]]
    whole = _whole_months((str(row["body"]), str(row["month"])) for row in rows)
    for row in rows:
        if (row["body"], row["month"]) in whole:
            category = str(row["category"] or "not stated").strip()
            yield _spent(f"{row['body']}/{str(row['unit']).strip()}", category, str(row["month"]), row["net_gbp"])


def _whole_months(months: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the months of each body without its first and its last, which are partial."""
    found = set(months)
    by_body: dict[str, list[str]] = {}
    for body, month in found:
        by_body.setdefault(body, []).append(month)
    return {(body, month) for body, month in found if min(by_body[body]) < month < max(by_body[body])}


def _spent(unit: str, category: str, month: str, amount: object) -> spend_pb2.SpendEntry:
    year, number = month.split("-")
    return spend_pb2.SpendEntry(
        unit=unit,
        category=category,
        period=Date(year=int(year), month=int(number)),
        amount=money(amount),
        currency_code="GBP",
    )
