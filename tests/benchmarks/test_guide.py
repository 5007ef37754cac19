"""The guide says of metrics, reasons and times what the code does."""

from __future__ import annotations

import re

from analytics.v1.benchmarks_pb2 import WithheldReason

from server.benchmarks.catalogue import METRICS, Metric
from server.benchmarks.model import KEPT_DAYS
from tests.docs.blocks import ROOT

GUIDE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
DECISION = (ROOT / "docs" / "decisions" / "0021-disclosure-control.md").read_text(encoding="utf-8")


def _points(metric: Metric) -> str:
    grid = metric.grid
    return "two digits, up to a billion" if grid.digits else f"{grid.low:g} to {grid.high:g} by {grid.step:g}"


def _missing(guide: str) -> list[str]:
    """Return the metrics that the guide has no row of, or another one."""
    rows = [
        f"| `{each.name}` | {each.meaning} | {each.unit.value} | {each.direction.value} | {_points(each)} | {each.weight} |"
        for each in METRICS
    ]
    return [row for row in rows if row not in guide]


def test_the_guide_has_every_metric_as_it_is_released() -> None:
    assert _missing(GUIDE) == []


def test_control_a_metric_that_is_described_otherwise_is_found() -> None:
    assert len(_missing(GUIDE.replace("by 0.005", "by 0.01").replace("| reviewed employees |", "| employees |"))) == 2


def test_the_guide_has_every_reason_for_a_withheld_cell() -> None:
    reasons = {name.removeprefix("WITHHELD_REASON_") for name in WithheldReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - no mapping
    assert {reason for reason in reasons if f"| {reason} |" not in GUIDE} == set()


def test_the_days_that_somebody_who_moved_waits_are_those_that_releases_are_kept() -> None:
    assert set(re.findall(r"(\d+) days", GUIDE)) == {str(KEPT_DAYS)}
    assert f"kept for {KEPT_DAYS} days" in DECISION
