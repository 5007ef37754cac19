"""What `make run` promises, with the real server and worker: a prediction from nothing, data found again, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from server.embedded.account import scratch_folder
from tests.embedded.processes import all_end_within, left_of
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# One first start, with its training, serves all of these; in one worker they share it.
pytestmark = pytest.mark.xdist_group("make-run")

STARTS_WITHIN = 240.0
ENDS_WITHIN = 30.0
_PROCESSES = re.compile(r"(PostgreSQL|Valkey|server|worker) \(process (\d+)\)")


class Run:
    """A started `python -m server.embedded run` that has said `ready`, with what it printed until then and its lines to paste."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = {"ANALYTICS_GRPC_PORT": "0", "ANALYTICS_METRICS_PORT": "0", "ANALYTICS_WORKER_METRICS_PORT": "0"}
        # A whole crowd takes a minute of both cores.
        ports["ANALYTICS_DEMO_ORGANIZATIONS"] = "80"
        paths = {"ANALYTICS_DATA_DIR": str(folder), "PYTHONPATH": environment.AS_INSTALLED}
        # SIGINT is ignored here as in a shell that starts it in the background.
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "server.embedded", "run"],
            env={**os.environ, **ports, **paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._lines = iter(self.process.stdout)
        self.before: list[str] = []
        self.paste: list[str] = []
        for line in self._lines:
            (self.paste if any(text.startswith("ready") for text in self.before) else self.before).append(line)
            if "/GetPredictionJob" in line:
                break
        assert self.paste, "".join(self.before)

    @property
    def pids(self) -> dict[str, int]:
        return {name: int(pid) for name, pid in _PROCESSES.findall("".join(self.before))}

    def end(self, pid: int, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code and what was still printed."""
        os.kill(pid, number)
        output = "".join(self._lines)
        return self.process.wait(ENDS_WITHIN), output

    def close(self) -> None:
        for pid in left_of(self.folder):
            with contextlib.suppress(ProcessLookupError):  # killing one ends others
                os.kill(pid, signal.SIGKILL)
        self.process.wait(ENDS_WITHIN)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def first_run() -> Iterator[tuple[Run, str]]:
    """A first start, the output of its pasted lines, and an orderly end."""
    home = scratch_folder("make-run-")
    home.chmod(0o711)
    run = Run(home / "data")
    try:
        script = "\n".join(["set -e -o pipefail", *run.paste])
        pasted = subprocess.run([str(shutil.which("bash")), "-c", script], capture_output=True, text=True, check=False, timeout=120)
        code, output = run.end(run.process.pid, signal.SIGINT)
        assert (pasted.returncode, code) == (0, 0), pasted.stderr + output
        yield run, pasted.stdout
    finally:
        run.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def second_run(first_run: tuple[Run, str]) -> Iterator[Run]:
    run = Run(first_run[0].folder)
    yield run
    run.close()


def test_from_nothing_to_a_prediction_by_pasted_lines(first_run: tuple[Run, str]) -> None:
    run, printed = first_run
    assert run.paste[1].startswith("# A token of ")
    # Where there is no grpcurl the lines are of analyticsctl, which shows the job alone and no list of services.
    completed = json.loads(printed[printed.rindex("\n{\n") :])
    if "/GetPredictionJob" in run.paste[-1]:
        assert "analytics.v1.AnalyticsService\n" in printed
        completed = completed["job"]
    assert completed["state"] == "PREDICTION_JOB_STATE_COMPLETED"
    assert 0 <= completed["turnover"]["score"] <= 1


def test_ctrl_c_with_sigint_ignored_leaves_nothing(first_run: tuple[Run, str]) -> None:
    assert left_of(first_run[0].folder) == {}


def test_the_file_of_analyticsctl_is_private_and_holds_both_tokens(first_run: tuple[Run, str]) -> None:
    path = first_run[0].folder / "analyticsctl.json"
    content = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(content["tokens"]) == {"tenant", "operator"}
    assert re.fullmatch(r"127\.0\.0\.1:\d+", content["address"])


def test_a_second_run_finds_its_data_and_kill_9_of_the_worker_ends_all(second_run: Run) -> None:
    assert not any("training" in line for line in second_run.before)
    code, output = second_run.end(second_run.pids["worker"], signal.SIGKILL)
    assert code == 1
    assert f"make run: the worker (process {second_run.pids['worker']}) ended by SIGKILL; stopping the rest\n" in output
    assert all_end_within(second_run.folder, ENDS_WITHIN) == {}


def test_kill_9_of_postgresql_under_the_service_ends_all(second_run: Run) -> None:
    assert second_run.end(second_run.pids["PostgreSQL"], signal.SIGKILL)[0] == 1
    assert all_end_within(second_run.folder, ENDS_WITHIN) == {}


def test_kill_9_of_the_supervisor_leaves_nothing_of_the_service(second_run: Run) -> None:
    assert len(second_run.pids) == 4
    assert second_run.end(second_run.process.pid, signal.SIGKILL)[0] == -signal.SIGKILL
    assert all_end_within(second_run.folder, ENDS_WITHIN) == {}


def test_sigterm_drains_and_ends_well(second_run: Run) -> None:
    code, output = second_run.end(second_run.process.pid, signal.SIGTERM)
    assert code == 0
    assert "is killed" not in output
    assert left_of(second_run.folder) == {}
