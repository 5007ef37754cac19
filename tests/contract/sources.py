"""The project's own files as the contract tests read them, and what a rule over them looks like.

A rule takes a `Source` and returns its complaints, so that its positive control can feed it a bad snippet.
"""

from __future__ import annotations

import ast
import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("server", "workers", "proto", "bench")


@dataclass(frozen=True)
class Source:
    """A Python file: its path from the root of the project, with slashes, and its text."""

    path: str
    text: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(ast.parse(self.text, self.path)))

    def at(self, line: int, complaint: str) -> str:
        return f"{self.path}:{line}: {complaint}"


@functools.cache
def python_files(*folders: str) -> tuple[Source, ...]:
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


def complaints(rule: Callable[[Source], Sequence[str]], *folders: str) -> list[str]:
    """Everything the rule says about the Python files of `folders`; that nothing was read is an error, not silence."""
    files = python_files(*folders)
    assert files, f"no Python file in {folders}"
    return [complaint for source in files for complaint in rule(source)]


def calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted name of what is called; the name of anything but names and attributes is empty."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, wherever in the file: `a.b` for `import a.b`, `a.b` for `from a import b`."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or '.'}.{alias.name}") for alias in node.names)


def strings(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of every string in the code, docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value) for node in source.nodes if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in source.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@functools.cache
def committed() -> tuple[Path, ...]:
    """Every file that is in the repository or would be with the next `git add`."""
    # The checkout may belong to another user than the one who tests, for example in a container.
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = tuple(ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in files if path.is_file())
