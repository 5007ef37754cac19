"""A test waits for the thing it waits for: a sleep is too short on a slow machine and too long on a fast one."""

from __future__ import annotations

import ast

from tests.contract.sources import Source, calls, complaints, imports

WAITS = "tests/support/until.py"
"""Where it is waited for what rings no bell, for all tests."""
SLEEPERS = frozenset({"anyio.sleep", "asyncio.sleep", "time.sleep", "trio.sleep"})


def sleeps(source: Source) -> list[str]:
    found = [source.at(line, f"imports {name}") for line, name in imports(source) if name in SLEEPERS]
    return found + [
        source.at(call.lineno, f"{name}(): wait on a signal") for call, name in calls(source) if name in SLEEPERS and not _yields(call)
    ]


def _yields(call: ast.Call) -> bool:
    """`asyncio.sleep(0)` only lets others run."""
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


def test_no_test_sleeps() -> None:
    assert [complaint for complaint in complaints(sleeps, "tests") if not complaint.startswith(WAITS)] == []


def test_control_a_sleep_is_found() -> None:
    assert sleeps(Source("tests/test_a.py", "async def test_a():\n    await asyncio.sleep(0.1)"))
    assert sleeps(Source("tests/test_a.py", "import time\ndef test_a():\n    time.sleep(DELAY)"))
    assert sleeps(Source("tests/test_a.py", "from time import sleep"))
    assert not sleeps(Source("tests/test_a.py", "async def test_a():\n    await asyncio.sleep(0)"))
