"""However a run ends, it ends as a whole and in order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.embedded.processes import all_end_within, ends_within, left_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "embedded" / "supervised.py"
ENDS_WITHIN = 20.0


class Running:
    """A started run: the outermost process and the ids of all that belong to it."""

    def __init__(self, command: list[str], home: Path) -> None:
        self.home = home
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._lines = iter(self.process.stdout)
        first = next(self._lines, "")
        while first and not first.startswith("{"):
            first = next(self._lines, "")
        self.pids: dict[str, int] = json.loads(first)

    def end(self) -> tuple[int, str]:
        """Exit code and the rest of the output, once it has ended."""
        output = "".join(self._lines)
        return self.process.wait(ENDS_WITHIN), output

    def close(self) -> None:
        for pid in left_of(self.home):
            with contextlib.suppress(ProcessLookupError):  # killing one ends others
                os.kill(pid, signal.SIGKILL)
        self.process.wait(ENDS_WITHIN)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*wrapper: str, manner: str = "drains") -> Running:
        started.append(Running([*wrapper, sys.executable, str(PROGRAM), str(home), manner], home))
        return started[-1]

    yield begin
    for running in started:
        running.close()


def test_control_a_run_that_nobody_stops_is_found_by_the_search_for_leftovers(start: Callable[..., Running], home: Path) -> None:
    running = start()
    assert set(running.pids.values()) <= set(left_of(home))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_the_services_before_the_databases_stop(start: Callable[..., Running], home: Path, number: signal.Signals) -> None:
    running = start()
    os.kill(running.pids["supervisor"], number)
    code, output = running.end()
    assert (code, output.strip()) == (0, f"stopping ({number.name})")
    assert {name: (home / f"{name}.drained").read_text() for name in ("server", "worker")} == {
        "server": "databases up",
        "worker": "databases up",
    }
    assert left_of(home) == {}


def test_ctrl_c_works_where_the_parent_shell_has_sigint_ignored(start: Callable[..., Running], home: Path) -> None:
    running = start("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{running.pids['server']}/status").read_text().splitlines())
    assert not int(status["SigIgn"], 16) >> (signal.SIGINT - 1) & 1, "children get the default back"
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.end()[0] == 0
    assert left_of(home) == {}


@pytest.mark.parametrize("victim", ["server", "worker", "postgres", "valkey"])
def test_kill_9_of_one_process_ends_all_with_one_clear_sentence(start: Callable[..., Running], home: Path, victim: str) -> None:
    running = start()
    os.kill(running.pids[victim], signal.SIGKILL)
    code, output = running.end()
    names = {"server": "the server", "worker": "the worker", "postgres": "PostgreSQL", "valkey": "Valkey"}
    assert code == 1
    assert output.splitlines()[0] == f"{names[victim]} (process {running.pids[victim]}) ended by SIGKILL; stopping the rest"
    assert all_end_within(home, ENDS_WITHIN) == {}


def test_kill_9_of_the_supervisor_leaves_nothing(start: Callable[..., Running], home: Path) -> None:
    running = start(manner="clings")
    os.kill(running.pids["supervisor"], signal.SIGKILL)
    assert all(ends_within(pid, ENDS_WITHIN) for pid in running.pids.values())
    assert all_end_within(home, ENDS_WITHIN) == {}


def test_kill_9_of_the_process_above_leaves_nothing(start: Callable[..., Running], home: Path) -> None:
    running = start("sh", "-c", '"$@"; true', "sh")
    assert running.process.pid != running.pids["supervisor"]
    running.process.kill()
    assert all(ends_within(pid, ENDS_WITHIN) for pid in running.pids.values())
    assert all_end_within(home, ENDS_WITHIN) == {}


def test_an_interrupt_for_make_alone_reaches_the_supervisor(start: Callable[..., Running], home: Path) -> None:
    (home / "Makefile").write_text("run:\n\t@exec $(WORDS)\n")
    words = f"WORDS={sys.executable} {PROGRAM} {home} drains"
    running = start("sh", "-c", 'exec make -f Makefile run "$0"', words)
    os.kill(running.process.pid, signal.SIGINT)
    output = running.end()[1]
    assert "stopping (make was interrupted)" in output
    assert left_of(home) == {}


def test_a_service_that_clings_to_life_is_killed_after_its_time(start: Callable[..., Running], home: Path) -> None:
    running = start(manner="clings")
    os.kill(running.pids["supervisor"], signal.SIGTERM)
    code, output = running.end()
    assert code == 0
    assert "the server has not ended in time and is killed" in output
    assert left_of(home) == {}
