"""The report of a model version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1.models_pb2 import ModelState, ModelType

from server.ctl.render import when
from server.ctl.report import charts, classifier, forecast
from server.ctl.report.html import table, tag
from server.ctl.report.model import Report, Section
from server.ctl.values import named

if TYPE_CHECKING:
    from datetime import datetime

    from server.ctl.report.html import Html
    from server.ctl.report.versions import Compared


def report(found: Compared, made: datetime, source: str) -> Report:
    """Everything about a version."""
    kind = forecast if found.evaluation.HasField("forecast") else classifier
    return Report(
        title=f"{_title(found)} {found.model.version}",
        summary=kind.summary(found),
        rows=_measured_on(found),
        facts=_facts(found),
        panels=kind.panels(found),
        sections=[Section("Compared with the version before", _comparison(found)), *kind.sections(found)],
        made=made,
        source=source,
    )


def rows(found: Compared) -> int:
    """How many rows, or forecasts, the drawings are of."""
    evaluation = found.evaluation
    return evaluation.forecast.points if evaluation.HasField("forecast") else evaluation.classifier.rows


def _title(found: Compared) -> str:
    return charts.words(named(ModelType.DESCRIPTOR, found.model.type)).capitalize()


def _facts(found: Compared) -> list[tuple[str, str]]:
    model, evaluation = found.model, found.evaluation
    folds = model.classification.folds
    way = f"cross-validation in {folds} folds" if folds else "held-out rows"
    if evaluation.HasField("forecast"):
        way = "held-out months"
    return [
        ("state", named(ModelState.DESCRIPTOR, model.state).upper()),
        ("trained on", f"{model.training_rows:,} rows"),
        ("measured on", _measured_on(found)),
        ("measured by", way),
        ("training cut-off", when(model.training_cutoff)[:10]),
        ("registered", when(model.create_time)),
        ("activated", when(model.activate_time)),
        ("features", str(len(model.features))),
        ("why it failed", model.failure_reason),
        ("id", model.id),
    ]


def _measured_on(found: Compared) -> str:
    evaluation = found.evaluation
    if evaluation.HasField("forecast"):
        return f"{evaluation.forecast.points:,} forecasts of {evaluation.forecast.series:,} series"
    return f"{evaluation.classifier.rows:,} rows, {evaluation.classifier.positives:,} with the outcome"


def _comparison(found: Compared) -> Html:
    if found.previous is None:
        return tag("p", "This is the first version of its type: there is none to compare it with.")
    kind = "forecast" if found.evaluation.HasField("forecast") else "classification"
    metrics = forecast.METRICS if kind == "forecast" else classifier.METRICS
    ours, theirs = getattr(found.model, kind), getattr(found.previous, kind)
    lines = [_line(name, getattr(ours, field), getattr(theirs, field), larger=larger) for field, name, larger in metrics]
    if kind == "forecast":
        # Neither more nor less is better, but closer.
        gaps = (abs(ours.coverage - forecast.AIM), abs(theirs.coverage - forecast.AIM))
        verdict = _verdict(*gaps, larger=False)
        lines.append(("coverage of the 80 % interval", f"{ours.coverage:.4f}", f"{theirs.coverage:.4f}", verdict))
    note = (
        f"Each version is measured on the rows of its own training ({_measured(found, kind)}), so small differences may come from "
        "them. Which one is better on the same rows decided which one is active: see the comparison above."
    )
    columns = ["metric", f"{found.model.version} #", f"{found.previous.version} #", ""]
    without = "" if found.earlier is not None else "Nothing was stored to draw of the version before; its metrics are."
    return tag("div", table(columns, lines), tag("p", note), tag("p", without))


def _measured(found: Compared, kind: str) -> str:
    field = "points" if kind == "forecast" else "rows"
    ours, theirs = getattr(found.model, kind), getattr(found.previous, kind)
    return f"{getattr(ours, field):,} and {getattr(theirs, field):,}"


def _line(name: str, ours: float, theirs: float, *, larger: bool) -> tuple[str, str, str, str]:
    return name, f"{ours:.4f}", f"{theirs:.4f}", _verdict(ours, theirs, larger=larger)


def _verdict(ours: float, theirs: float, *, larger: bool) -> str:
    if round(ours, 4) == round(theirs, 4):
        return "equal"
    return "better" if (ours > theirs) is larger else "worse"
