"""What a finding may say, and how two of them compare."""

from __future__ import annotations

from datetime import datetime

import pytest

from server.insights.model import Action, InsightType, Priority, Provenance
from server.insights.outcome import worse, worst_of_each
from tests.support.insights import FAR, finding


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"confidence": 1.001}, "confidence"),
        ({"confidence": -0.1}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"severity": float("inf")}, "severity"),
        ({"severity": float("nan")}, "severity"),
        ({"expires_at": datetime(2100, 1, 1)}, "time zone"),  # noqa: DTZ001 - what is refused
        ({"title": "a\0b"}, "NUL"),
        ({"actions": (Action("a", Priority.LOW, "b\0"),)}, "NUL"),
        ({"provenance": Provenance("x", FAR.date(), "", "1\0")}, "NUL"),
        ({"data_points": {"a": float("nan")}}, "plain JSON"),
        ({"data_points": {"a": [{"b": float("-inf")}]}}, "plain JSON"),
        ({"data_points": {"a": 2**53 + 1}}, "plain JSON"),
        ({"data_points": {"a": "b\0"}}, "plain JSON"),
        ({"data_points": {"a\0": 1}}, "plain JSON"),
        ({"data_points": {1: 1}}, "plain JSON"),
        ({"data_points": {"a": {1, 2}}}, "plain JSON"),
        ({"data_points": {"a": FAR}}, "plain JSON"),
        ({"data_points": {"a": [0] * 10_000}}, "parts"),
    ],
)
def test_a_finding_that_could_not_be_stored_or_shown_is_refused_with_the_reason(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        finding("subject", **changes)


def test_data_points_are_nested_at_most_sixteen_deep() -> None:
    nested: object = 1
    for _ in range(15):
        nested = [nested]
    finding(data_points={"deep": nested})
    with pytest.raises(ValueError, match="16 deep"):
        finding(data_points={"deep": [[nested]]})


def test_a_refusal_does_not_name_the_subject() -> None:
    with pytest.raises(ValueError, match="payroll_cost_spike") as refused:
        finding("cost_centre/Secret", severity=float("nan"))
    assert "Secret" not in str(refused.value)


def test_the_fingerprint_is_of_type_and_subject_alone() -> None:
    one = finding("a", severity=1.0)
    assert one.fingerprint == finding("a", severity=2.0, title="other").fingerprint
    assert len({one.fingerprint, finding("b").fingerprint, finding("a", insight_type=InsightType.BUDGET_OVERRUN).fingerprint}) == 3
    assert len(one.fingerprint) == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "x"},
        {"description": "x"},
        {"severity": 5.1},
        {"confidence": 0.5},
        {"data_points": {"actual": 1}},
        {"actions": ()},
        {"actions": (Action("Check overtime of September", Priority.LOW),)},
    ],
)
def test_the_digest_changes_with_whatever_a_reader_would_notice(changes: dict[str, object]) -> None:
    assert finding("subject", **changes).digest != finding().digest


def test_the_digest_is_that_of_what_is_said_and_not_of_how_fresh_it_is() -> None:
    fresh = finding(expires_at=FAR.replace(year=2101), provenance=Provenance("payroll_residuals", FAR.date()), confidence=0.9300001)
    assert fresh.digest == finding().digest
    reordered = dict(reversed(list(finding().data_points.items())))
    assert finding(data_points=reordered).digest == finding().digest


@pytest.mark.parametrize(
    ("severity", "dismissed", "comes_back"),
    [
        *((5.0, 5.0, False), (5.5, 5.0, False), (5.51, 5.0, True), (4.0, 5.0, False), (0.001, 0.0, True), (0.0, 0.0, False)),
        *((-5.0, -5.0, False), (-4.6, -5.0, False), (-4.4, -5.0, True)),
    ],
)
def test_worse_is_more_than_a_tenth_of_the_severity_at_the_dismissal_also_below_zero(
    severity: float,
    dismissed: float,
    comes_back: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert worse(severity, dismissed) is comes_back


def test_of_several_findings_about_a_subject_the_worst_counts() -> None:
    mild, bad, other = finding("a", severity=1.0), finding("a", severity=3.0), finding("b", severity=0.0)
    assert list(worst_of_each([mild, other, bad])) == [bad, other]
    assert list(worst_of_each([bad, mild, other])) == [bad, other]
