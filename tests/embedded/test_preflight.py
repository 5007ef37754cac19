"""What is in the way of a start is said in one sentence, before anything runs."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.embedded import EmbeddedError, preflight
from server.embedded.account import server_account
from server.embedded.binaries import SHARED_HOME
from server.embedded.preflight import check_ports, databases_home, open_data_folder
from server.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@contextmanager
def _listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        yield port


def _run(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    free = {"ANALYTICS_GRPC_PORT": "0", "ANALYTICS_METRICS_PORT": "0", "ANALYTICS_WORKER_METRICS_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "server.embedded", "run"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **free, "ANALYTICS_DATA_DIR": str(home / "data"), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("variable", ["ANALYTICS_GRPC_PORT", "ANALYTICS_METRICS_PORT", "ANALYTICS_WORKER_METRICS_PORT"])
def test_a_taken_port_is_one_sentence_and_exit_code_2(home: Path, variable: str) -> None:
    with _listener() as port:
        ended = _run(home, **{variable: str(port)})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"make run: port {port} is in use; stop the other process or set {variable}\n"


def test_control_a_free_port_is_not_refused() -> None:
    with _listener() as port:
        pass
    check_ports(load(grpc_port=port, metrics_port=0, worker_metrics_port=0))


def test_one_port_for_two_purposes_is_refused() -> None:
    with pytest.raises(EmbeddedError, match="ANALYTICS_GRPC_PORT and ANALYTICS_METRICS_PORT are both 50055"):
        check_ports(load(grpc_port=50055, metrics_port=50055))


def test_a_folder_that_cannot_be_made_is_one_sentence_and_exit_code_2(home: Path) -> None:
    (home / "file").write_text("")
    ended = _run(home, ANALYTICS_DATA_DIR=str(home / "file" / "data"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"make run: cannot use data folder {home}/file/data: Not a directory; set ANALYTICS_DATA_DIR to a folder that can be written\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_one_sentence(home: Path) -> None:
    (home / "closed").mkdir(mode=0o500)
    ended = _run(home, ANALYTICS_DATA_DIR=str(home / "closed" / "data"))
    assert ended.returncode == 2
    assert re.fullmatch(r"make run: cannot use data folder .*: Permission denied; set ANALYTICS_DATA_DIR to .*\n", ended.stderr)


def test_a_wrong_setting_is_one_sentence_and_exit_code_2(home: Path) -> None:
    ended = _run(home, ANALYTICS_GRPC_PORT="seventy")
    assert ended.returncode == 2
    assert ended.stderr.startswith("make run: ANALYTICS_GRPC_PORT: ")
    assert ended.stderr.count("\n") == 1


def test_a_second_run_in_the_same_folder_is_refused_and_names_the_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "PREDECESSOR_SECONDS", 0.0)
    said: list[str] = []
    first = open_data_folder(home / "data", None, said.append)
    with pytest.raises(EmbeddedError, match=rf"another run \(process {os.getpid()}\) uses data folder {home}/data"):
        open_data_folder(home / "data", None, said.append)
    first.lock.close()
    open_data_folder(home / "data", None, said.append).lock.close()


def test_the_data_folder_is_closed_to_others_but_for_passing_through(home: Path) -> None:
    account = server_account()
    data = open_data_folder(home / "data", account, lambda _: None)
    data.lock.close()
    assert stat.S_IMODE(data.path.stat().st_mode) == (0o700 if account is None else 0o711)
    assert stat.S_IMODE(data.secrets.stat().st_mode) == stat.S_IMODE(data.logs.stat().st_mode) == 0o700


def test_a_folder_that_exists_keeps_its_mode(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data").chmod(0o750)
    open_data_folder(home / "data", server_account(), lambda _: None).lock.close()
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers to another user")
def test_where_nobody_cannot_reach_the_data_folder_the_databases_live_below_var_lib(home: Path) -> None:
    account = server_account()
    (home / "closed").mkdir(mode=0o700)
    assert databases_home(home, "0123456789ab", account) == home
    elsewhere = databases_home(home / "closed", "test-of-preflight", account)
    assert elsewhere == SHARED_HOME / "data" / "test-of-preflight"
    elsewhere.rmdir()
