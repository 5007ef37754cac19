"""The demo organizations' employees."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter

import numpy as np
import pytest
from analytics.v1.employees_pb2 import Employee, EmployeeAttributes
from protovalidate import Validator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from server.ctl.demo_data import Dates, as_date, employees, example_employee
from server.ctl.demo_organizations import JOBS, ORGANIZATIONS, DemoOrganization

TODAY = datetime.date(2026, 10, 15)
FIRST_DATE, LATEST_DATE = as_date(Dates.before(TODAY).first), as_date(Dates.before(TODAY).latest)
CATEGORIES = ("department", "job_role", "education_field")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Employee]]:
    return {organization.org_id: employees(organization, TODAY) for organization in ORGANIZATIONS}


@pytest.fixture(scope="module")
def labelled(rows: dict[str, list[Employee]]) -> list[Employee]:
    return [row for found in rows.values() for row in found if row.HasField("left_within_year")]


def test_the_same_rows_come_on_every_machine() -> None:
    # Taken over the values, as protobuf bytes are not canonical; a change of the generator changes it on purpose.
    digest = hashlib.sha256()
    for row in employees(ORGANIZATIONS[0], TODAY):
        digest.update(repr([row.employee_key, [(field.name, value) for field, value in row.attributes.ListFields()]]).encode())
        digest.update(f"{row.as_of.year} {row.HasField('left_within_year')} {row.left_within_year}".encode())
    assert digest.hexdigest()[:16] == "53e14abbd4989989"


def test_organizations_differ_from_each_other(rows: dict[str, list[Employee]]) -> None:
    first = [found[0].attributes.SerializeToString() for found in rows.values()]
    assert len(set(first)) == len(ORGANIZATIONS)


def test_every_row_keeps_the_rules_of_the_contract(rows: dict[str, list[Employee]]) -> None:
    validator = Validator()
    assert [violation for found in rows.values() for row in found for violation in validator.collect_violations(row)] == []


def test_a_key_and_date_come_once(rows: dict[str, list[Employee]]) -> None:
    for found in rows.values():
        assert max(Counter((row.employee_key, row.as_of.year) for row in found).values()) == 1


@pytest.mark.parametrize("organization", ORGANIZATIONS, ids=lambda organization: organization.org_id)
def test_an_organization_has_a_plausible_size_and_turnover(rows: dict[str, list[Employee]], organization: DemoOrganization) -> None:
    known = [row for row in rows[organization.org_id] if row.HasField("left_within_year")]
    assert 250 <= len(known) <= 400
    assert 0.10 <= np.mean([row.left_within_year for row in known]) <= 0.23


def test_about_one_in_six_leaves(labelled: list[Employee]) -> None:
    assert 0.14 <= np.mean([row.left_within_year for row in labelled]) <= 0.18


def test_outcomes_of_the_latest_date_are_not_known_and_who_left_is_gone(rows: dict[str, list[Employee]]) -> None:
    for found in rows.values():
        gone = {row.employee_key for row in found if row.left_within_year}
        latest = [row for row in found if row.as_of == LATEST_DATE]
        assert latest
        assert not any(row.HasField("left_within_year") or row.employee_key in gone for row in latest)
        assert all(row.HasField("left_within_year") for row in found if row.as_of == FIRST_DATE)


def test_what_a_prediction_needs_is_never_missing_and_the_rest_sometimes_is(rows: dict[str, list[Employee]]) -> None:
    everyone = [row.attributes for found in rows.values() for row in found]
    for name in ("department", "job_role", "monthly_income", "years_at_company"):
        assert all(attributes.HasField(name) for attributes in everyone)
    missing = [sum(not attributes.HasField("job_satisfaction") for attributes in everyone), len(everyone)]
    assert 0.02 < missing[0] / missing[1] < 0.08


def test_the_years_of_an_employee_fit_together(rows: dict[str, list[Employee]]) -> None:
    for found in rows.values():
        for attributes in (row.attributes for row in found):
            if attributes.HasField("total_working_years"):
                assert attributes.years_at_company <= attributes.total_working_years + 0.1
            assert attributes.years_in_current_role <= attributes.years_at_company + 0.1


def test_the_example_employee_is_there_at_the_latest_date(rows: dict[str, list[Employee]]) -> None:
    for organization in ORGANIZATIONS:
        key = example_employee(organization)
        assert any(row.employee_key == key and row.as_of == LATEST_DATE for row in rows[organization.org_id])


def test_a_plain_model_ranks_leavers_well_but_not_perfectly(labelled: list[Employee]) -> None:
    left = np.array([row.left_within_year for row in labelled])
    features = np.array([_features(row.attributes) for row in labelled])
    auc = _cross_validated_auc(features, left)
    assert 0.72 <= auc <= 0.85, f"ROC AUC {auc:.3f} over {len(left)} rows"


def test_a_plain_model_ranks_nothing_when_the_outcomes_are_shuffled(labelled: list[Employee]) -> None:
    left = np.array([row.left_within_year for row in labelled])
    features = np.array([_features(row.attributes) for row in labelled])
    shuffled = np.random.default_rng(0).permutation(left)
    assert 0.42 <= _cross_validated_auc(features, shuffled) <= 0.58


def _cross_validated_auc(features: np.ndarray, left: np.ndarray) -> float:
    model = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(roc_auc_score(left, cross_val_predict(model, features, left, cv=folds, method="predict_proba")[:, 1]))


def _features(attributes: EmployeeAttributes) -> list[float]:
    numbers = [field.name for field in EmployeeAttributes.DESCRIPTOR.fields if field.name not in (*CATEGORIES, "business_travel")]
    values = [float(getattr(attributes, name)) if attributes.HasField(name) else float("nan") for name in numbers]  # type: ignore[arg-type]  # names of the message
    travel = [float(attributes.business_travel == kind) for kind in (1, 2, 3)]
    return [*values, *travel, *(float(attributes.job_role == job.title) for job in JOBS)]
