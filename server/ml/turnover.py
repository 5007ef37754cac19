"""The features of turnover prediction: the fields of `EmployeeAttributes` under the same names and ranges.

A test compares them with the contract. Protected attributes (age, gender, marital status, ...) have no place here.
"""

from __future__ import annotations

from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema

_SURVEY = (1.0, 4.0)
_YEARS = (0.0, 80.0)


def _number(name: str, bounds: tuple[float, float], *, required: bool = False) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.NUMBER, required, *bounds)


def _integer(name: str, bounds: tuple[float, float]) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.INTEGER, False, *bounds)  # noqa: FBT003 - the field is `required`


def _category(name: str, *values: str, required: bool = False) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.CATEGORY, required, values=values)


TURNOVER = FeatureSchema(
    (
        _category("department", required=True),
        _category("job_role", required=True),
        _number("monthly_income", (0.0, 10_000_000.0), required=True),
        _number("years_at_company", _YEARS, required=True),
        _integer("job_level", (1.0, 10.0)),
        FeatureSpec("over_time", FeatureKind.BOOLEAN),
        _category("business_travel", "none", "rarely", "frequently"),
        _number("distance_from_home", (0.0, 1000.0)),
        _integer("education_level", (1.0, 5.0)),
        _category("education_field"),
        _integer("environment_satisfaction", _SURVEY),
        _integer("job_involvement", _SURVEY),
        _integer("job_satisfaction", _SURVEY),
        _integer("relationship_satisfaction", _SURVEY),
        _integer("work_life_balance", _SURVEY),
        _integer("performance_rating", (1.0, 5.0)),
        _integer("companies_worked", (0.0, 50.0)),
        _number("salary_hike_percent", (-100.0, 500.0)),
        _integer("stock_option_level", (0.0, 3.0)),
        _number("total_working_years", _YEARS),
        _integer("trainings_last_year", (0.0, 100.0)),
        _number("years_in_current_role", _YEARS),
        _number("years_since_promotion", _YEARS),
        _number("years_with_manager", _YEARS),
        _number("paid_share", (0.0, 10.0)),
    )
)
"""Schema of the shared model type `turnover_prediction`."""
