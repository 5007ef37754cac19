"""The table of metrics in docs/operations.md is what a process exports: every name, its type and its labels, and no other."""

from __future__ import annotations

import re

from prometheus_client import Counter, Gauge, Histogram

from server.telemetry import metrics
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "operations.md"
# Of a library, listed as one row.
OF_THE_PROCESS = "process_"

_ROW = re.compile(r"^\| `(analytics_\w+)` \| (\w+) \|([^|]*)\|[^|]*\w[^|]*\|$", re.MULTILINE)

Table = dict[str, tuple[str, tuple[str, ...]]]


def exported() -> Table:
    """Type and labels of every metric of `server.telemetry.metrics`, by the name that Prometheus sees."""
    made = [metric for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram)]
    names = [metric._name + ("_total" if isinstance(metric, Counter) else "") for metric in made]
    return {name: (metric._type, tuple(sorted(metric._labelnames))) for name, metric in zip(names, made, strict=True)}


def described(page: str) -> Table:
    """Type and labels of every row of the table."""
    return {name: (kind, tuple(sorted(filter(None, labels.strip().split(", "))))) for name, kind, labels in _ROW.findall(page)}


def differences(page: Table, process: Table) -> list[str]:
    both = page.keys() & process.keys()
    return [
        *(f"{name} is not in the table" for name in sorted(process.keys() - page.keys())),
        *(f"{name} does not exist" for name in sorted(page.keys() - process.keys())),
        *(f"{name} is {process[name]} and described as {page[name]}" for name in sorted(both) if page[name] != process[name]),
    ]


def test_every_exported_metric_is_in_the_table_and_no_other() -> None:
    assert exported()
    assert differences(described(PAGE.read_text(encoding="utf-8")), exported()) == []


def test_a_process_exports_nothing_but_these_and_those_of_the_process() -> None:
    families = {family.name for family in metrics.REGISTRY.collect() if not family.name.startswith(OF_THE_PROCESS)}
    assert families == {name.removesuffix("_total") for name in exported()}
    assert f"| `{OF_THE_PROCESS}*` |" in PAGE.read_text(encoding="utf-8")


def test_every_metric_that_the_guides_speak_of_exists() -> None:
    guides = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]
    # A word with an underscore after `analytics_`, so that names of roles and functions are looked at too and named here.
    words = {word for guide in guides for word in re.findall(r"\banalytics_\w+", guide.read_text(encoding="utf-8"))}
    assert words - exported().keys() - {"analytics_owner", "analytics_now", "analytics_service", "analytics_service_pb2_grpc"} == set()


def test_control_a_row_too_many_too_few_or_wrong_is_found() -> None:
    process: Table = {"analytics_calls_total": ("counter", ("code", "method")), "analytics_open": ("gauge", ())}
    page = "| `analytics_calls_total` | counter | method, code | Calls. |\n| `analytics_open` | gauge | | Open ones. |\n"
    assert differences(described(page), process) == []
    assert differences(described(page.replace("_open", "_opened")), process) == [
        "analytics_open is not in the table",
        "analytics_opened does not exist",
    ]
    assert differences(described(page.replace("method, code", "method")), process)
    assert differences(described(page.replace("gauge", "counter")), process)
    assert differences(described(page.replace("Open ones.", "")), process) == ["analytics_open is not in the table"]
