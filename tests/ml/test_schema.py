from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ml.features import MAX_TEXT, PROTECTED, FeatureKind, FeatureSpec, SchemaInvalid
from server.ml.schema import MAX_FIELDS, MAX_PROBLEMS, FeatureSchema, InputInvalid
from server.ml.turnover import TURNOVER

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

ROOT = Path(__file__).parents[2]
COMPLETE: dict[str, object] = {"department": "Sales", "job_role": "Executive", "monthly_income": 5000, "years_at_company": 3}


def problem(**changes: object) -> tuple[str, str]:
    problems = TURNOVER.check(COMPLETE | changes)
    assert len(problems) == 1, problems
    return problems[0].feature, problems[0].description


def test_checking_an_input_needs_no_numerical_library() -> None:
    """Run in a process of its own, because this one has long loaded them."""
    script = "import sys; import {}; sys.exit(bool({{'numpy', 'scipy', 'xgboost'}} & set(sys.modules)))"
    for module, loaded in (("server.ml.turnover", 0), ("server.ml.encoding", 1)):
        assert subprocess.run([sys.executable, "-c", script.format(module)], cwd=ROOT, check=False).returncode == loaded, module


def test_a_complete_input_has_no_problem() -> None:
    assert TURNOVER.check(COMPLETE) == []


@pytest.mark.parametrize("name", [feature.name for feature in TURNOVER.features if feature.required])
def test_a_missing_required_feature_is_named(name: str) -> None:
    problems = TURNOVER.check({key: value for key, value in COMPLETE.items() if key != name})
    assert [(found.feature, found.description) for found in problems] == [(name, "is required")]
    assert TURNOVER.check(COMPLETE | {name: None}) == problems


@pytest.mark.parametrize(
    ("feature", "value", "description"),
    [
        ("monthly_income", "5000", "must be a number"),
        ("monthly_income", True, "must be a number"),
        ("monthly_income", [1], "must be a number"),
        ("monthly_income", math.nan, "must be a finite number"),
        ("monthly_income", math.inf, "must be a finite number"),
        ("monthly_income", -math.inf, "must be a finite number"),
        ("monthly_income", -0.01, "must be from 0 to 10,000,000"),
        ("monthly_income", 10_000_001, "must be from 0 to 10,000,000"),
        ("monthly_income", 10**400, "must be from 0 to 10,000,000"),
        ("job_level", 2.5, "must be a whole number"),
        ("job_level", "2", "must be a whole number"),
        ("job_level", 0, "must be from 1 to 10"),
        ("over_time", 1, "must be true or false"),
        ("over_time", "yes", "must be true or false"),
        ("department", 7, "must be a text"),
        ("department", {"a": 1}, "must be a text"),
        ("department", " \t", "must not be empty"),
        ("department", "x" * (MAX_TEXT + 1), "must have at most 128 characters"),
        ("department", "a\ud800", "must be valid Unicode text"),
        ("business_travel", "sometimes", "must be one of none, rarely, frequently"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(feature: str, value: object, description: str) -> None:
    assert problem(**{feature: value}) == (feature, description)


def test_a_problem_never_repeats_the_value() -> None:
    problems = TURNOVER.check({"department": "x" * 200, "job_role": 918_273, "monthly_income": "918273", "business_travel": "918273"})
    assert len(problems) == 5
    assert not any("918273" in found.description or "xx" in found.description for found in problems)


def test_an_unknown_feature_is_named_with_the_nearest_known_one() -> None:
    assert problem(montly_income=1) == ("montly_income", "is not a feature of this model; did you mean monthly_income?")
    assert problem(JobRole="x")[1].endswith("did you mean job_role?")
    assert problem(qqq=1) == ("qqq", "is not a feature of this model")


def test_an_unknown_name_is_shown_short_and_printable() -> None:
    assert problem(**{"z\n" * 100: 1})[0] == "z?" * 20


def test_a_protected_attribute_is_refused_as_such() -> None:
    assert problem(age=40) == ("age", "is a protected attribute and never a feature")
    assert problem(Gender="x")[1] == "is a protected attribute and never a feature"


def test_too_many_fields_are_one_problem() -> None:
    assert len(TURNOVER.check({f"f{number}": 1 for number in range(MAX_FIELDS)})) == MAX_PROBLEMS
    problems = TURNOVER.check({f"f{number}": 1 for number in range(MAX_FIELDS + 1)})
    assert [found.description for found in problems] == ["must have at most 200 fields"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"monthly_income": 5000}, {"monthly_income": 5000.0}),
        ({"years_at_company": 0.0}, {"years_at_company": -0.0}),
        ({"job_level": 3}, {"job_level": 3.0}),
        ({}, {"job_level": None, "over_time": None, "education_field": None}),
        ({"department": "Caf\u00e9"}, {"department": " Cafe\u0301 "}),
        ({"business_travel": "rarely"}, {"business_travel": "BUSINESS_TRAVEL_RARELY"}),
        ({}, {"business_travel": "BUSINESS_TRAVEL_UNSPECIFIED"}),
    ],
)
def test_inputs_that_mean_the_same_have_the_same_canonical_json(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = TURNOVER.clean(COMPLETE | one), TURNOVER.clean(dict(reversed((COMPLETE | other).items())))
    assert rfc8785.dumps(dict(first)) == rfc8785.dumps(dict(second))


def test_control_different_inputs_have_different_canonical_json() -> None:
    assert rfc8785.dumps(dict(TURNOVER.clean(COMPLETE))) != rfc8785.dumps(dict(TURNOVER.clean(COMPLETE | {"job_level": 3})))


def test_cleaning_a_wrong_input_raises_its_problems() -> None:
    with pytest.raises(InputInvalid, match="job_level: must be from 1 to 10") as caught:
        TURNOVER.clean(COMPLETE | {"job_level": 11})
    assert [found.feature for found in caught.value.problems] == ["job_level"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@unhurried
@given(st.dictionaries(st.sampled_from(TURNOVER.names) | st.text(max_size=20), json_values, max_size=30))
def test_any_input_is_either_clean_for_good_or_refused(raw: dict[str, object]) -> None:
    if problems := TURNOVER.check(COMPLETE | raw):
        assert len(problems) <= MAX_PROBLEMS
        return
    cleaned = TURNOVER.clean(COMPLETE | raw)
    assert rfc8785.dumps(dict(cleaned))
    assert TURNOVER.clean(cleaned) == cleaned


@unhurried
@given(st.integers())
def test_a_whole_number_without_bounds_still_has_a_canonical_json(value: int) -> None:
    schema = FeatureSchema((FeatureSpec("count", FeatureKind.INTEGER),))
    if not schema.check({"count": value}):
        assert rfc8785.dumps(dict(schema.clean({"count": value}))) == json.dumps({"count": value}, separators=(",", ":")).encode()


def test_a_schema_survives_json() -> None:
    assert FeatureSchema.from_json(json.loads(json.dumps(TURNOVER.to_json()))) == TURNOVER


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"features": 1},
        {"features": []},
        {"features": ["age"]},
        {"features": [{"name": "pay", "kind": "money", "required": True, "values": []}]},
        {"features": [{"name": "pay", "kind": "number", "required": "yes", "values": []}]},
        {"features": [{"name": "pay", "kind": "number", "required": True, "values": [], "minimum": "0"}]},
        {"features": [{"name": "unit", "kind": "category", "required": True, "values": "abc"}]},
        {"features": [{"name": "age", "kind": "number", "required": True, "values": []}]},
        {"features": [{"name": "pay", "kind": "number", "required": True, "values": []}] * 2},
    ],
)
def test_json_that_is_no_schema_is_refused(data: object) -> None:
    with pytest.raises(SchemaInvalid):
        FeatureSchema.from_json(data)


@pytest.mark.parametrize("name", [*sorted(PROTECTED), "", "Two", "two words"])
def test_a_feature_cannot_have_a_protected_or_unreadable_name(name: str) -> None:
    with pytest.raises(SchemaInvalid):
        FeatureSpec(name, FeatureKind.NUMBER)


def test_a_feature_cannot_contradict_itself() -> None:
    with pytest.raises(SchemaInvalid, match="minimum is above maximum"):
        FeatureSpec("pay", FeatureKind.NUMBER, minimum=2, maximum=1)
    with pytest.raises(SchemaInvalid, match="only a category has values"):
        FeatureSpec("pay", FeatureKind.NUMBER, values=("a",))
    with pytest.raises(SchemaInvalid, match="only a number has bounds"):
        FeatureSpec("unit", FeatureKind.CATEGORY, minimum=1)
