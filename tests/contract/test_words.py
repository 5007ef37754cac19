"""Nothing committed names a package index or a path of somebody's machine, and nothing is left to do in a comment."""

from __future__ import annotations

import re

from tests.contract.sources import ROOT, committed

# One letter of each word is in brackets, or this file would find itself.
FOREIGN = {
    "a package index": re.compile(rb"pypi[.]org|python[h]osted[.]|--(extra-)?[i]ndex-url|/[s]imple/?[\s\"']"),
    "a path of a machine": re.compile(rb"(?<![\w.])/([w]ork/|[r]oot/|[h]ome/\w+/|[U]sers/\w+/)"),
}
LEFT_OVER = {"something left to do": re.compile(rb"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b")}


def found(name: str, content: bytes) -> list[str]:
    # The images hold the comments of imported files, which others wrote.
    patterns = FOREIGN if name.endswith(".binpb") or name.startswith("generated/") else FOREIGN | LEFT_OVER
    matches = [(what, match) for what, pattern in patterns.items() for match in pattern.finditer(content)]
    return [f"{name}, byte {match.start()}: {what}: {match.group().decode(errors='replace')}" for what, match in matches]


def test_nothing_committed_names_an_index_a_machine_or_work_left_over() -> None:
    files = committed()
    assert ROOT / "pyproject.toml" in files
    assert [complaint for path in files for complaint in found(path.relative_to(ROOT).as_posix(), path.read_bytes())] == []


def test_control_foreign_words_are_found() -> None:
    for words in (
        b"pip install --index" + b"-url https://example.org",
        b"see https://pypi" + b".org/project/arq",
        b"cd /wo" + b"rk/main",
        b"open('/home/" + b"ada/data.csv')",
        b"# TO" + b"DO: later",
    ):
        assert found("README.md", b"first line\n" + words), words
    assert not found("generated/descriptor.binpb", b"# TO" + b"DO: of somebody else")
    assert not found("README.md", b"python -m server; see docs/work/flow.md, server/home.py and simple things")
