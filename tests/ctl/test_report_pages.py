"""Pages of reports, whatever they are about: text is text, nothing is loaded, long tables come in parts."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ctl.failures import BadInput
from server.ctl.report import drawing
from server.ctl.report.html import ROWS_OF_A_PAGE, Html, escaped, facts, paragraphs, table, tag
from server.ctl.report.model import Panel, Report, Section
from server.ctl.report.page import POLICY, page
from server.ctl.report.saving import checked, save

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
# What a page is made of; nothing that runs, loads or sends.
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "div", "dl", "dt", "dd", "figure", "img"),
    *("figcaption", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "footer", "ol", "li", "span", "strong"),
}
PNG = b"\x89PNG\r\n\x1a\n"


class Read(HTMLParser):
    """The elements of a page, its attributes and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in {"img", "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def stands_alone(text: str) -> Read:
    """Read a page, and find that it needs and runs nothing."""
    read = Read(text)
    assert set(read.tags) <= TAGS
    assert ("meta", "content", POLICY) in read.attributes
    for element, name, value in read.attributes:
        assert not name.startswith("on"), (element, name)
        assert name not in {"href", "srcset", "action", "style"}, (element, name)
        assert name != "src" or value.startswith("data:image/svg+xml;base64,"), value[:80]
    assert "url(" not in text
    assert "@import" not in text
    return read


def draw(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], label=HOSTILE + "$\\frac{$")
    axes.set_xlabel("$not a formula")
    axes.legend()


def made(rows: int = 3, text: str = "A title") -> Report:
    section = Section(text, table([text, "value #"], [(text, str(number)) for number in range(rows)]))
    return Report(
        text, f"{text}\nand more", f"{rows} rows", [("name", text), ("empty", "")], [Panel(text, draw, text)] * 2, [section],
        datetime(2026, 11, 21, 16, 30, tzinfo=UTC), "127.0.0.1:50051",
    )  # fmt: skip


def test_a_hostile_text_is_shown_as_it_is_and_does_nothing() -> None:
    read = stands_alone(page(made(text=HOSTILE)))
    assert "script" not in read.tags
    assert read.text.count(HOSTILE) >= 5


def test_control_markup_that_was_not_escaped_is_found() -> None:
    content = page(made())
    with pytest.raises(AssertionError):
        stands_alone(content.replace("A title", HOSTILE))
    with pytest.raises(AssertionError):
        stands_alone(content.replace("data:image/svg+xml", "https://example.org/x"))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_any_text_comes_back_as_text(text: str) -> None:
    element = tag("p", text, title=text)
    read = Read(element)
    assert read.tags == ["p"]
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    assert read.text == shown
    assert read.attributes == [("p", "title", shown)]


def test_text_that_turns_its_direction_is_shown_as_an_escape() -> None:
    assert escaped("a\u202egpj.exe\x00") == "a\\u202egpj.exe\\x00"
    assert isinstance(escaped(Html("<p>")), Html)


def test_a_long_table_comes_in_parts_of_which_the_first_is_open() -> None:
    read = Read(table(["#"], [(str(number),) for number in range(2 * ROWS_OF_A_PAGE + 1)]))
    assert read.tags.count("details") == read.tags.count("table") == 3
    assert [name for _, name, _ in read.attributes].count("open") == 1
    assert f"Rows 1 to {ROWS_OF_A_PAGE} of {2 * ROWS_OF_A_PAGE + 1}" in read.text
    assert Read(table(["#"], [("1",)])).tags.count("details") == 0
    assert "None." in table(["#"], [])


def test_lines_are_paragraphs_and_empty_values_are_left_out() -> None:
    assert paragraphs("one\n\n<two>") == "<p>one</p><p>&lt;two&gt;</p>"
    assert facts([("a", "1"), ("b", "")]).count("<dt>") == 1


def test_page_and_picture_say_how_many_rows_there_are_and_when_they_were_made() -> None:
    content = page(made())
    assert "3 rows; made 2026-11-21 16:30 UTC from 127.0.0.1:50051" in content
    assert made().footer in content


def test_pictures_are_the_same_each_time_and_load_nothing() -> None:
    report = made()
    pictures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page(report))
    assert len(pictures) == 2
    svg = base64.b64decode(pictures[0])
    assert svg == drawing.svg(report.panels[0])
    assert b"<script" not in svg
    assert not re.search(rb'(?:href|src)="(?!#)', svg)
    assert drawing.png(report) == drawing.png(report)


def test_a_page_is_saved_with_its_picture_beside_it(tmp_path: Path) -> None:
    out = checked(tmp_path / "x.html")
    assert save(made(), out) == tmp_path / "x.png"
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(("name", "words"), [("x.png", "ends in .html"), ("missing/x.html", "there is no folder")])
def test_a_name_that_cannot_be_one_is_told_before_anything_is_asked(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        checked(tmp_path / name)


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.html").mkdir()
    with pytest.raises(BadInput, match="cannot write"):
        save(made(), tmp_path / "x.html")
