"""The documents as the tests read them: fenced blocks with the marker before them, links, headings.

A marker is an HTML comment on the line before a fence: `not run: REASON`, `shows: TEXT` (its output must contain it),
`test: NAME` (a program) or `file: NAME` (a file that the commands use).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md")))
MARKERS = frozenset({"not run", "shows", "test", "file"})

_FENCE = re.compile(r"^```(\w*)$")
_MARKER = re.compile(r"<!-- ([a-z ]+): (.+) -->")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it starts, its language, what is in it, and the marker before it."""

    line: int
    language: str
    text: str
    marker: str = ""
    value: str = ""


def blocks(text: str) -> list[Block]:
    """Return every fenced block of a document."""
    found: list[Block] = []
    lines = text.splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if start is None and fence:
            start = number
        elif start is not None and line == "```":
            marker = _MARKER.fullmatch(lines[start - 1]) if start else None
            language = lines[start].removeprefix("```")
            inside = "\n".join(lines[start + 1 : number]) + "\n"
            found.append(Block(start + 1, language, inside, *(marker.groups() if marker else ())))
            start = None
    if start is not None:
        msg = f"the block of line {start + 1} is not closed"
        raise ValueError(msg)
    return found


def read(document: Path) -> list[Block]:
    """Return every fenced block of a file."""
    return blocks(document.read_text(encoding="utf-8"))


def links(text: str) -> list[str]:
    """Return the targets of all links outside of blocks."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", outside.replace("[`", "[").replace("`](", "](")))


def anchors(text: str) -> set[str]:
    """Return the names by which the headings of a document can be linked."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name(path: Path) -> str:
    """Path of a document from the root of the project."""
    return path.relative_to(ROOT).as_posix()
