"""Every metric is named in `server/telemetry/names.py`, so that dashboards and alerts have one list to read."""

from __future__ import annotations

import ast

from tests.contract.sources import Source, calls, complaints, dotted

MAKERS = frozenset(
    {"Counter", "Gauge", "Histogram", "Summary"}
    | {f"create_{kind}" for kind in ("counter", "gauge", "histogram", "observable_counter", "observable_gauge", "up_down_counter")}
)


def unlisted_metrics(source: Source) -> list[str]:
    origins = _origins(source)
    found = []
    for call, called in calls(source):
        if called.rpartition(".")[2] not in MAKERS or _full_name(called, origins).startswith("collections."):
            continue
        name = next((word.value for word in call.keywords if word.arg == "name"), call.args[0] if call.args else None)
        if name is None or not _full_name(dotted(name), origins).startswith("server.telemetry.names."):
            found.append(source.at(call.lineno, f"the name of this {called} is not in server/telemetry/names.py"))
    return found


def _origins(source: Source) -> dict[str, str]:
    """Local name -> full name, of what is imported by `from`."""
    froms = [node for node in source.nodes if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in froms for alias in node.names}


def _full_name(name: str, origins: dict[str, str]) -> str:
    first, dot, rest = name.partition(".")
    return origins.get(first, first) + dot + rest


def test_every_metric_is_named_in_one_file() -> None:
    assert not complaints(unlisted_metrics, "server", "workers")


def test_control_a_metric_named_elsewhere_is_found() -> None:
    path = "server/rpc/log.py"
    assert unlisted_metrics(Source(path, "from prometheus_client import Counter\nc = Counter('calls', 'Calls.')"))
    assert unlisted_metrics(Source(path, "import prometheus_client as p\nc = p.Histogram(name=f'{x}_seconds', documentation='')"))
    assert unlisted_metrics(Source(path, "NAME = 'calls'\nc = meter.create_counter(NAME)"))
    assert not unlisted_metrics(Source(path, "from server.telemetry import names\nc = Counter(names.CALLS, 'Calls.')"))
    assert not unlisted_metrics(Source(path, "from server.telemetry.names import CALLS\nc = Counter(CALLS, 'Calls.')"))
    assert not unlisted_metrics(Source(path, "from collections import Counter\nc = Counter(words)"))
