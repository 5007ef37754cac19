"""PostgreSQL in a folder of its own: made once, started as a child, reached by a Unix socket and by passwords only.

`<folder>/data` is the cluster, `<folder>/superuser` the superuser's password, `<folder>/postgres.log` its output.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from server.embedded import EmbeddedError
from server.embedded.account import Account, claim_folder, server_account, socket_folder, write_private
from server.embedded.binaries import postgres_folder
from server.embedded.child import Child, plain_environment, spawn, wait_until_unused

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60.0
PREDECESSOR_SECONDS = 10.0
_POLL_SECONDS = 0.01
_STATUS_LINE = 7  # of postmaster.pid, counted from 0

_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # One row per query is the rule here; parallel workers and compiled plans only cost memory.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "io_method": "sync",
    "huge_pages": "off",
    # No replicas: less WAL, and no slots.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What a statement was given never reaches the log, not even by an error.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
    "password_encryption": "scram-sha-256",
}
_FAST_OPTIONS = {
    # synchronous_commit stays on: with it off a kill -9 loses what was committed, and the tests kill.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10min",
    # Passwords of tests are no secrets, and tests connect thousands of times.
    "scram_iterations": "1",
}


class Postgres:
    """A running server; ends with the thread that started it."""

    def __init__(self, child: Child, sockets: Path, password: str, data: Path) -> None:
        """Wrap a started server."""
        self.child = child
        self.sockets = sockets
        self._password = password
        self._data = data

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self.child.pid

    @property
    def admin_url(self) -> str:
        """URL of the superuser in database `postgres`."""
        return self.url("postgres", self._password, "postgres")

    def url(self, user: str, password: str, database: str) -> str:
        """`postgresql://user:password@/database?host=<socket folder>`."""
        return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@/{quote(database, safe='')}?host={self.sockets}"

    def stop(self) -> None:
        """Fast shutdown: sessions are cut off, what was committed is on disk."""
        self.child.end((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))

    def kill(self) -> None:
        """SIGKILL to the postmaster; returns when its sessions have noticed."""
        self.child.kill()
        wait_until_unused(self._data, PREDECESSOR_SECONDS)


def start_postgres(folder: Path, *, fast: bool = False, log: Path | None = None, patience: float = PREDECESSOR_SECONDS) -> Postgres:
    """Start PostgreSQL in `folder`, after `initdb` when it is missing or empty; returns when it takes connections.

    Args:
        folder: all of the server's files; must be its own.
        fast: nothing is flushed to disk; for tests, survives kill -9 but no power cut.
        log: file for its output in place of `<folder>/postgres.log`.
        patience: seconds a predecessor in the same folder may take to end.

    Raises:
        EmbeddedError: the folder cannot be used, another server runs in it, or the server does not start.

    """
    folder = folder.resolve()
    account = server_account()
    programs = postgres_folder(account)
    claim_folder(folder, account)
    data = folder / "data"
    if (pid := wait_until_unused(data, patience)) is not None:
        msg = f"PostgreSQL already runs in {folder} (process {pid}); stop it or choose another folder"
        raise EmbeddedError(msg)
    if not data.is_dir():
        _make_cluster(programs, folder, account, fast=fast)
    # No process works in this folder any more. PostgreSQL itself would refuse when the process id has been given to
    # somebody else since the crash, as happens in containers and after a restart of the machine.
    with contextlib.suppress(FileNotFoundError):
        (data / "postmaster.pid").unlink()
    sockets = socket_folder(folder, account)
    options = {**_OPTIONS, **(_FAST_OPTIONS if fast else {}), "unix_socket_directories": str(sockets)}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    child = spawn(
        "PostgreSQL",
        [str(programs / "postgres"), "-D", str(data), *settings],
        log=log or folder / "postgres.log",
        environment=plain_environment(),
        folder=data,
        account=account,
        when_parent_dies=signal.SIGINT,
    )
    try:
        _wait_until_ready(child, data)
    except BaseException:
        child.end((signal.SIGQUIT, 5.0))
        raise
    return Postgres(child, sockets, (folder / "superuser").read_text().strip(), data)


def _make_cluster(programs: Path, folder: Path, account: Account | None, *, fast: bool) -> None:
    """Run initdb aside and rename, so that one that was cut off leaves nothing that looks whole."""
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    write_private(folder / "superuser", secrets.token_urlsafe(24), account)
    command = [
        str(programs / "initdb"),
        f"--pgdata={fresh}",
        "--username=postgres",
        f"--pwfile={folder / 'superuser'}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        *(["--no-sync"] if fast else []),
    ]
    log = folder / "initdb.log"
    child = spawn("initdb", command, log=log, environment=plain_environment(), folder=folder, account=account)
    try:
        child.wait(START_SECONDS)
    finally:
        if child.exit_code is None:
            child.kill()
    if child.exit_code != 0:
        msg = f"initdb in {folder} ended {child.how_it_ended()}\n{child.tail()}"
        raise EmbeddedError(msg)
    fresh.rename(folder / "data")


def _wait_until_ready(child: Child, data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(data, child.pid):
        if child.exit_code is not None:
            msg = f"PostgreSQL in {data.parent} ended {child.how_it_ended()}\n{child.tail()}"
            raise EmbeddedError(msg)
        if time.monotonic() > deadline:
            msg = f"PostgreSQL in {data.parent} is not ready after {START_SECONDS:.0f} s\n{child.tail()}"
            raise EmbeddedError(msg)
        time.sleep(_POLL_SECONDS)


def _is_ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"
