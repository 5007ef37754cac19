"""A report as one page that needs nothing else."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from server.ctl.report.drawing import svg
from server.ctl.report.html import Html, facts, joined, paragraphs, tag

if TYPE_CHECKING:
    from server.ctl.report.model import Panel, Report

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded and no script runs, wherever it may come from."""

_HALF_INCHES = 6.5
"""A wider drawing takes the whole width of the page; in half of it nobody could read it."""

_STYLE = Html("""
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif; color: #1f2933; background: #f5f7f9;
  margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 2rem 1.5rem 3rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .8rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { margin: .4rem 0; max-width: 75ch; }
.summary { font-size: 1.1rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: .8rem 1.5rem; background: #fff;
  border: 1px solid #dde2e8; border-radius: 8px; padding: 1rem 1.2rem; margin: 1.2rem 0; }
dl > div, dt, dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
dt { font-size: .8rem; color: #5a6470; }
dd { font-weight: 600; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 1.2rem; }
figure, .card { background: #fff; border: 1px solid #dde2e8; border-radius: 8px; padding: 1rem 1.2rem; margin: 0; break-inside: avoid; }
.across { grid-column: 1 / -1; }
.across img { max-width: 950px; }
figure img { width: 100%; height: auto; display: block; }
figcaption { font-size: .88rem; color: #5a6470; margin-top: .5rem; }
.card { margin: 0 0 1rem; overflow-wrap: anywhere; }
.card .meta { font-size: .85rem; color: #5a6470; }
.card dl { padding: .6rem .8rem; margin: .6rem 0; background: #f8fafb; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .4rem .7rem; border-bottom: 1px solid #dde2e8; vertical-align: top; }
th { background: #eef1f4; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.withheld { color: #5a6470; font-style: italic; }
details { margin: .5rem 0; }
summary { cursor: pointer; padding: .4rem 0; font-weight: 600; }
footer { margin-top: 2.5rem; font-size: .85rem; color: #5a6470; }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } }
""")


def page(report: Report) -> str:
    """The whole document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("title", report.title),
        tag("style", _STYLE),
    )
    main = tag(
        "main",
        tag("h1", report.title),
        tag("div", paragraphs(report.summary), class_="summary"),
        facts(report.facts),
        tag("div", *(_figure(panel) for panel in report.panels), class_="panels"),
        *(joined(tag("h2", section.title), section.content) for section in report.sections),
        tag("footer", f"analyticsctl report: {report.footer}"),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', main), lang='en')}\n"


def _figure(panel: Panel) -> Html:
    picture = Html("data:image/svg+xml;base64," + base64.b64encode(svg(panel)).decode())
    shown = tag("img", src=picture, alt=f"{panel.title}. {panel.note}")
    across = {"class_": "across"} if panel.size[0] > _HALF_INCHES else {}
    return tag("figure", tag("h3", panel.title), shown, tag("figcaption", panel.note), **across)
