"""Files and functions stay small, and no file is a drawer for whatever had no place."""

from __future__ import annotations

import ast

from tests.contract.sources import PRODUCT, Source, complaints, python_files

FILE_LINES = 300
HARD_FILE_LINES = 400
FUNCTION_LINES = 50
DRAWERS = frozenset({"common", "helper", "helpers", "manager", "managers", "misc", "service", "util", "utils"})

# Path -> why the file is better long than cut. No reason buys more than HARD_FILE_LINES.
LONG_FILES = {
    "server/db/migrations/versions/0001_first_tables.py": "The first revision makes every table at once; one that ran is never cut.",
}
# A revision is a list of statements in the order of their dependencies, as Alembic writes it: nothing branches.
REVISIONS = "server/db/migrations/versions/"


def long_file(source: Source) -> list[str]:
    lines = source.text.count("\n")
    allowed = HARD_FILE_LINES if LONG_FILES.get(source.path) else FILE_LINES
    return [source.at(lines, f"{lines} lines, {allowed} are allowed")] if lines > allowed else []


def long_functions(source: Source) -> list[str]:
    found: list[str] = []
    if source.path.startswith(REVISIONS):
        return found
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines >= FUNCTION_LINES:
                found.append(source.at(node.lineno, f"{node.name} has {lines} lines, a function stays under {FUNCTION_LINES}"))
    return found


def drawer(source: Source) -> list[str]:
    words = source.path.removesuffix(".py").split("/")
    return [source.at(1, f"`{word}` says nothing about what is in it") for word in words if word in DRAWERS]


def test_files_are_short() -> None:
    assert not complaints(long_file, *PRODUCT)


def test_functions_are_short() -> None:
    assert not complaints(long_functions, *PRODUCT)


def test_no_file_or_folder_is_a_drawer() -> None:
    assert not complaints(drawer, *PRODUCT, "tests")


def test_every_long_file_has_a_reason_and_is_still_long() -> None:
    files = {source.path: source for source in python_files(*PRODUCT) if source.path in LONG_FILES}
    assert files.keys() == LONG_FILES.keys()
    assert all(source.text.count("\n") > FILE_LINES and len(LONG_FILES[path].split()) > 3 for path, source in files.items())


def test_control_a_long_file_is_found() -> None:
    assert long_file(Source("server/long.py", "x = 1\n" * 301))
    assert not long_file(Source("server/short.py", "x = 1\n" * 300))


def test_control_a_long_function_is_found() -> None:
    assert long_functions(Source("server/a.py", "async def f():\n" + "    x = 1\n" * 49))
    assert long_functions(Source("server/a.py", "class C:\n    def f(self):\n" + "        x = 1\n" * 49))
    assert not long_functions(Source("server/a.py", "def f():\n" + "    x = 1\n" * 48))


def test_control_a_drawer_is_found() -> None:
    assert drawer(Source("server/insights/service.py", ""))
    assert drawer(Source("server/common/money.py", ""))
    assert not drawer(Source("server/rpc/services.py", ""))
