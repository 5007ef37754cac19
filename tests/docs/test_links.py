"""What the documents point to exists, and every document is pointed to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.docs.blocks import DOCUMENTS, MARKERS, ROOT, anchors, blocks, links, name

if TYPE_CHECKING:
    from pathlib import Path

_BRANCH = re.compile(r"^((?:    )*)([\w./-]+)(?:  .*)?$")


def broken(document: Path, text: str) -> list[str]:
    """Links of a document that lead nowhere."""
    found = []
    for link in links(text):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (document.parent / target).resolve() if target else document
        if not path.exists():
            found.append(f"{name(document)}: {link} does not exist")
        elif anchor and anchor not in anchors(path.read_text() if target else text):
            found.append(f"{name(document)}: {link} names no heading")
    return found


def unlinked(texts: dict[Path, str], start: Path) -> set[Path]:
    """Documents that nobody gets to from `start`."""
    reached, todo = {start}, [start]
    while todo:
        here = todo.pop()
        targets = {(here.parent / link.partition("#")[0]).resolve() for link in links(texts[here]) if "://" not in link}
        todo += sorted((targets & texts.keys()) - reached)
        reached |= targets & texts.keys()
    return texts.keys() - reached


def missing_from_tree(text: str) -> list[str]:
    """Paths of the tree in ARCHITECTURE.md (four spaces a level, then what it is) that do not exist."""
    tree = next(block for block in blocks(text) if block.language == "text")
    found, above = [], [""]
    for line in tree.text.splitlines():
        branch = _BRANCH.match(line)
        assert branch, f"not a line of a tree: {line!r}"
        depth = len(branch[1]) // 4
        path = above[depth] + branch[2]
        above[depth + 1 :] = [path]
        if not (ROOT / path).exists():
            found.append(path)
    return found


def misleading(text: str) -> list[str]:
    """Repository paths in backticks (`server/app.py`, `tests/rpc/test_roles.py`) that do not exist."""
    paths = re.findall(r"`((?:server|workers|tests|proto|generated|docs)/[\w./-]+)`", text)
    return [path for path in paths if not (ROOT / path).exists()]


def test_every_link_leads_somewhere() -> None:
    assert [complaint for document in DOCUMENTS for complaint in broken(document, document.read_text())] == []


def test_every_document_is_reached_from_the_readme() -> None:
    texts = {document: document.read_text() for document in DOCUMENTS}
    assert unlinked(texts, ROOT / "README.md") == set()


def test_the_readme_links_every_guide() -> None:
    readme = ROOT / "README.md"
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(readme.read_text())}
    assert {name(guide) for guide in (ROOT / "docs").glob("*.md") if guide not in linked} == set()


def test_the_tree_of_the_architecture_names_existing_paths_only() -> None:
    assert missing_from_tree((ROOT / "ARCHITECTURE.md").read_text()) == []


def test_paths_in_backticks_exist() -> None:
    assert {name(document): misleading(document.read_text()) for document in DOCUMENTS} == {name(document): [] for document in DOCUMENTS}


def test_every_test_that_a_recipe_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "ARCHITECTURE.md").read_text()))
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert {test for test in named if f"def {test}(" not in sources} == set()


def test_every_marker_is_a_known_one() -> None:
    found = {block.marker for document in DOCUMENTS for block in blocks(document.read_text())} - {""}
    assert found <= MARKERS


def test_control_a_dead_link_and_a_dead_anchor_are_found() -> None:
    readme = ROOT / "README.md"
    assert not broken(readme, "[a](docs/settings.md#settings) [b](https://example.org/x) `[c](gone.md)`")
    assert broken(readme, "[a](docs/gone.md)")
    assert broken(readme, "[a](docs/settings.md#gone)")


def test_control_a_document_that_nobody_links_is_found() -> None:
    one, two, three = (ROOT / "docs" / f"{number}.md" for number in ("one", "two", "three"))
    assert unlinked({one: "[x](two.md)", two: "", three: "[y](one.md)"}, one) == {three}


def test_control_a_path_that_is_gone_is_found_in_the_tree() -> None:
    assert missing_from_tree("```text\nserver/\n    app.py  the root\n    gone.py  not there\n```\n") == ["server/gone.py"]
    assert misleading("see `server/gone.py` and `server/app.py`") == ["server/gone.py"]
