"""Elements of a page: text is escaped, only what was built here is not."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, TypeAlias

from server.ctl.render import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS_OF_A_PAGE = 25
"""Rows of a table, or cards, that stand together; the next are one click away."""

_VOID = frozenset({"img", "meta"})


class Html(str):
    """Markup that was built here; any other text is escaped."""

    __slots__ = ()


Content: TypeAlias = "str | Html"


def escaped(content: Content) -> Html:
    """Text as markup that shows it; control characters, and those that turn the direction of text, as escapes."""
    return content if isinstance(content, Html) else Html(html.escape(plain(content), quote=True))


def tag(name: str, /, *contents: Content, **attributes: str) -> Html:
    """An element; an attribute `class_` is called `class`."""
    said = "".join(f' {key.rstrip("_")}="{escaped(value)}"' for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{joined(*contents)}</{name}>")


def joined(*contents: Content) -> Html:
    """Contents one after the other."""
    return Html("".join(escaped(content) for content in contents))


def paragraphs(text: str) -> Html:
    """A text of several lines, a paragraph each."""
    return joined(*(tag("p", line) for line in text.splitlines() if line.strip()))


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Names and values; empty values are left out."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value))


def table(columns: Sequence[str], rows: Sequence[Sequence[Content]]) -> Html:
    """A table in pages of `ROWS_OF_A_PAGE`; a column whose name ends in `#` is numeric."""
    numeric = [column.endswith("#") for column in columns]
    titles = [_cell("th", column.removesuffix("#").strip(), right) for column, right in zip(columns, numeric, strict=True)]
    head = tag("thead", tag("tr", *titles))
    bodies = [tag("tr", *(_cell("td", cell, right) for cell, right in zip(row, numeric, strict=True))) for row in rows]
    return pages(bodies, lambda part: tag("div", tag("table", head, tag("tbody", *part)), class_="wide"))


def pages(items: Sequence[Html], together: Callable[[Sequence[Html]], Html], what: str = "Rows") -> Html:
    """Items in parts of `ROWS_OF_A_PAGE`, the first one open; `together` shows the items of a part."""
    if not items:
        return tag("p", "None.", class_="none")
    if len(items) <= ROWS_OF_A_PAGE:
        return together(items)
    parts = []
    for first in range(0, len(items), ROWS_OF_A_PAGE):
        part = items[first : first + ROWS_OF_A_PAGE]
        summary = tag("summary", f"{what} {first + 1} to {first + len(part)} of {len(items)}")
        parts.append(tag("details", summary, together(part), **({} if first else {"open": ""})))
    return joined(*parts)


def _cell(name: str, content: Content, right: bool) -> Html:  # noqa: FBT001 - private, of two columns
    return tag(name, content, class_="number") if right else tag(name, content)
