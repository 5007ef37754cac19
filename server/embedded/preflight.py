"""What must be true before anything starts; each refusal is one sentence that says what to do."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from server.embedded import EmbeddedError
from server.embedded.account import Account, reachable
from server.embedded.binaries import SHARED_HOME

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.settings import Settings

PREDECESSOR_SECONDS = 4.0
_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The folder of one `make run`, held until `lock` is closed."""

    path: Path
    lock: TextIO

    @property
    def secrets(self) -> Path:
        """Keys and passwords."""
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        """Output of all children."""
        return self.path / "logs"


def check_python() -> None:
    """Refuse an interpreter that is too old."""
    if sys.version_info < _OLDEST_PYTHON:
        msg = f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; run `make PYTHON=/path/to/python3.11 run`"
        raise EmbeddedError(msg)


def check_ports(settings: Settings) -> None:
    """Refuse when somebody listens on one of our ports; port 0 is always free."""
    wanted = {
        "ANALYTICS_GRPC_PORT": (settings.grpc_host, settings.grpc_port),
        "ANALYTICS_METRICS_PORT": (settings.grpc_host, settings.metrics_port),
        "ANALYTICS_WORKER_METRICS_PORT": (settings.grpc_host, settings.worker_metrics_port),
    }
    seen: dict[int, str] = {}
    for variable, (host, port) in wanted.items():
        if port == 0:
            continue
        if port in seen:
            msg = f"{seen[port]} and {variable} are both {port}; give each a port of its own"
            raise EmbeddedError(msg)
        seen[port] = variable
        _check_port(variable, host, port)


def _check_port(variable: str, host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        msg = f"ANALYTICS_GRPC_HOST {host!r} is not an address of this machine: {error.strerror}"
        raise EmbeddedError(msg) from error
    with socket.socket(family, kind, protocol) as probe:
        # As the servers do: a connection that is still closing does not hold the port, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                msg = f"port {port} is in use; stop the other process or set {variable}"
            else:
                msg = f"cannot listen on {host} port {port} ({error.strerror}); set ANALYTICS_GRPC_HOST or {variable}"
            raise EmbeddedError(msg) from error


def open_data_folder(path: Path, account: Account | None, say: Callable[[str], None]) -> DataFolder:
    """Make or find the data folder and take its lock.

    Raises:
        EmbeddedError: it cannot be made or written, or another run uses it.

    """
    path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps symbolic links as the user wrote them
    try:
        if not path.exists():
            path.mkdir(parents=True)
            # nobody must pass through to its databases; everything else inside is closed to it.
            path.chmod(0o700 if account is None else 0o711)
        for folder in (path / "secrets", path / "logs"):
            folder.mkdir(mode=0o700, exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as error:
        msg = f"cannot use data folder {path}: {error.strerror}; set ANALYTICS_DATA_DIR to a folder that can be written"
        raise EmbeddedError(msg) from error
    try:
        _take_lock(lock, path, say)
    except BaseException:
        lock.close()
        raise
    return DataFolder(path, lock)


def _take_lock(lock: TextIO, path: Path, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    waiting = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            if time.monotonic() > deadline:
                msg = f"another run (process {holder}) uses data folder {path}; stop it or set ANALYTICS_DATA_DIR"
                raise EmbeddedError(msg) from None
            if not waiting:
                say(f"waiting for process {holder} to leave {path}")
            waiting = True
            time.sleep(0.05)
        else:
            break
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def databases_home(data: Path, place: str, account: Account | None) -> Path:
    """Folder above those of PostgreSQL and Valkey: the data folder, or one below /var/lib where nobody cannot reach it."""
    if reachable(data, account):
        return data
    home = SHARED_HOME / "data" / place
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"user nobody, which runs the databases under root, cannot reach {data}, and {home} cannot be made: {error.strerror}"
        raise EmbeddedError(msg) from error
    if not reachable(home, account):
        msg = f"user nobody, which runs the databases under root, can reach neither {data} nor {home}; set ANALYTICS_DATA_DIR"
        raise EmbeddedError(msg)
    return home
