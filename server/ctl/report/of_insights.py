"""The report of an organization's insights."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from analytics.v1.insights_pb2 import ActionPriority, Insight, InsightCategory
from analytics.v1.models_pb2 import ModelType
from google.protobuf.json_format import MessageToDict

from server.ctl.render import when
from server.ctl.report import charts
from server.ctl.report.drawing import BLUE, GREEN, INK, ORANGE, PURPLE, RED, SKY, bare
from server.ctl.report.html import Html, facts, joined, pages, paragraphs, table, tag
from server.ctl.report.model import Panel, Report, Section, percent
from server.ctl.values import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from google.protobuf.timestamp_pb2 import Timestamp
    from matplotlib.axes import Axes

MOST_TYPES = 14
"""Types in a drawing; those with the fewest insights are left out of it."""

_COLUMNS = ("title", "category", "type", "confidence #", "found", "expires", "")
_WEEKS = 12
_LONGEST = 26
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
_HATCHES = ("", "///", "...", "xx", "\\\\\\", "++")


def report(found: Sequence[Insight], *, cut: bool, made: datetime, source: str) -> Report:
    """Everything about insights, newest first; `cut` says whether there are more."""
    unviewed = sum(not insight.viewed_by_me for insight in found)
    count = f"{len(found):,}" + (", the newest of more" if cut else "")
    return Report(
        title="Insights",
        summary=_summary(found, unviewed, cut=cut),
        rows=f"{len(found):,} insights" + (", the newest of more" if cut else ""),
        facts=[
            ("insights", count),
            ("not viewed by you", f"{unviewed:,}"),
            *((name, f"{number:,}") for name, number in Counter(_category(insight) for insight in found).most_common()),
            ("newest", when(_found(found[0])) if found else ""),
        ],
        panels=_panels(found, made),
        sections=[
            Section("All insights, newest first", table(_COLUMNS, _lines(found))),
            Section("What they say, and what to do", pages([_card(insight) for insight in found], lambda part: joined(*part), "Insights")),
        ],
        made=made,
        source=source,
    )


def _summary(found: Sequence[Insight], unviewed: int, *, cut: bool) -> str:
    if not found:
        return "There is no active insight, or none that was asked for."
    surest = max(found, key=lambda insight: insight.confidence_score)
    words = f"{'The newest ' if cut else ''}{len(found):,} active insights, {unviewed:,} of them not viewed by you. "
    return words + f"The surest, at {percent(surest.confidence_score)}: {surest.title}"


def _lines(found: Sequence[Insight]) -> list[tuple[str, ...]]:
    return [
        (
            insight.title,
            _category(insight),
            charts.words(insight.insight_type),
            percent(insight.confidence_score, 1),
            when(_found(insight))[:10],
            when(insight.expire_time)[:10],
            "" if insight.viewed_by_me else "new",
        )
        for insight in found
    ]


def _card(insight: Insight) -> Html:
    numbers = MessageToDict(insight.data_points)
    steps = [_action(each.action, each.priority, each.estimated_impact, each.resource_url) for each in insight.recommended_actions]
    as_of = insight.provenance.facts_as_of
    model = ""
    if insight.provenance.model_version:
        model = f", {charts.words(named(ModelType.DESCRIPTOR, insight.provenance.model_type))} {insight.provenance.model_version}"
    meta = (
        f"{_category(insight)}, {charts.words(insight.insight_type)}; confidence {percent(insight.confidence_score, 1)}; found "
        f"{when(_found(insight))}, holds until {when(insight.expire_time)}; by {insight.provenance.detector} from facts up to "
        f"{as_of.year:04}-{as_of.month:02}-{as_of.day:02}{model}"
    )
    return tag(
        "div",
        tag("h3", insight.title),
        tag("p", meta, class_="meta"),
        paragraphs(insight.description),
        facts([(charts.words(name), _value(value)) for name, value in sorted(numbers.items())]) if numbers else "",
        tag("ol", *steps) if steps else "",
        class_="card",
    )


def _action(words: str, priority: ActionPriority.ValueType, impact: str, where: str) -> Html:
    # The address is text: a link would take its reader wherever the text says.
    rest = "; ".join(part for part in (f"{named(ActionPriority.DESCRIPTOR, priority)} priority", impact, where) if part)
    return tag("li", tag("strong", words), f" ({rest})")


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if value.is_integer():
            return f"{value:,.0f}"
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return ", ".join("none" if each is None else _value(each) for each in value)
    return json.dumps(value, ensure_ascii=False)


def _category(insight: Insight) -> str:
    return named(InsightCategory.DESCRIPTOR, insight.category)


def _found(insight: Insight) -> Timestamp:
    return insight.reopen_time if insight.HasField("reopen_time") else insight.create_time


def _panels(found: Sequence[Insight], made: datetime) -> list[Panel]:
    if not found:
        return [Panel("Insights by type", partial(bare, words="There is no insight to draw."), "What was asked for has no insight.")]
    return [
        Panel("Insights by type", partial(_by_type, found), "How many of each type there are, and how many of them you have not viewed."),
        Panel(
            "How sure they are",
            partial(_confidence, found),
            "A dot is an insight; the bar is the median of its type. Of a hundred with 90 % about ninety should be right.",
        ),
        Panel(
            "When they were found",
            partial(_weeks, found, made.date()),
            f"By the week in which an insight was found or came back, the last {_WEEKS} weeks; older ones are in the first bar.",
        ),
    ]


def _types(found: Sequence[Insight]) -> list[str]:
    """The most frequent types, the first one last, as bars stand from below."""
    counts = Counter(insight.insight_type for insight in found)
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_TYPES]][::-1]


def _by_type(found: Sequence[Insight], axes: Axes) -> None:
    types = _types(found)
    new = Counter(insight.insight_type for insight in found if not insight.viewed_by_me)
    old = Counter(insight.insight_type for insight in found if insight.viewed_by_me)
    names = [_short(name) for name in types]
    places = range(len(types))
    axes.barh(places, [new[name] for name in types], color=BLUE, height=0.65, label="not viewed")
    axes.barh(
        places, [old[name] for name in types], left=[new[name] for name in types], color=SKY, hatch="///", edgecolor="white", height=0.65,
        label="viewed",
    )  # fmt: skip
    for place, name in enumerate(types):
        total = new[name] + old[name]
        axes.annotate(f"{total:,}", (total, place), (4, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(places, names)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("insights")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower right")


def _confidence(found: Sequence[Insight], axes: Axes) -> None:
    types = _types(found)
    for place, name in enumerate(types):
        scores = sorted(insight.confidence_score for insight in found if insight.insight_type == name)
        # Spread over the height of the row, so that equal ones do not hide each other.
        heights = [place + 0.5 * ((number * 0.618034) % 1 - 0.5) for number in range(len(scores))]
        labels = ("_nolegend_", "_nolegend_") if place else ("insight", "median")
        axes.plot(scores, heights, "o", color=BLUE, alpha=0.5, markersize=4.5, markeredgewidth=0, label=labels[0])
        axes.plot([median(scores)] * 2, [place - 0.38, place + 0.38], color=ORANGE, linewidth=2.5, label=labels[1])
    axes.set_yticks(range(len(types)), [_short(name) for name in types])
    axes.set_ylim(-0.6, len(types) - 0.4)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("confidence")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left")


def _weeks(found: Sequence[Insight], today: date, axes: Axes) -> None:
    monday = today - timedelta(days=today.weekday())
    weeks = [monday - timedelta(weeks=_WEEKS - 1 - number) for number in range(_WEEKS)]
    categories = sorted({_category(insight) for insight in found})
    bottoms = [0] * _WEEKS
    for number, category in enumerate(categories):
        counts = [0] * _WEEKS
        for insight in found:
            if _category(insight) == category:
                week = (_found(insight).ToDatetime().date() - weeks[0]).days // 7
                counts[max(0, min(_WEEKS - 1, week))] += 1
        style = number % len(_COLOURS)
        axes.bar(
            range(_WEEKS), counts, 0.8, bottom=bottoms, color=_COLOURS[style], hatch=_HATCHES[style], edgecolor="white", linewidth=0.5,
            label=category,
        )  # fmt: skip
        bottoms = [bottom + count for bottom, count in zip(bottoms, counts, strict=True)]
    axes.set_xticks(range(_WEEKS), [f"{week:%d %b}" for week in weeks], rotation=45, ha="right", fontsize=8.5)
    axes.set_xlabel(f"week from Monday ({weeks[0].year})" if weeks[0].year == monday.year else "week from Monday")
    axes.set_ylabel("insights")
    axes.locator_params(axis="y", integer=True)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left")


def _short(name: str) -> str:
    words = charts.words(name)
    return words if len(words) <= _LONGEST else words[:_LONGEST] + "..."
