"""Valkey in a folder of its own: a Unix socket and no port, nothing evicted, on disk before a write is answered."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING

from server.embedded import EmbeddedError
from server.embedded.account import claim_folder, server_account, socket_folder
from server.embedded.binaries import valkey_program
from server.embedded.child import Child, plain_environment, spawn, wait_until_unused

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60.0
PREDECESSOR_SECONDS = 10.0
_POLL_SECONDS = 0.01


class Valkey:
    """A running server; ends with the thread that started it."""

    def __init__(self, child: Child, socket_path: Path, folder: Path) -> None:
        """Wrap a started server."""
        self.child = child
        self.socket_path = socket_path
        self._folder = folder

    @property
    def pid(self) -> int:
        """Process id."""
        return self.child.pid

    @property
    def url(self) -> str:
        """`unix:///path/valkey.sock`."""
        return f"unix://{self.socket_path}"

    def stop(self) -> None:
        """Orderly end: the append-only file is flushed."""
        self.child.end((signal.SIGTERM, 10.0))

    def kill(self) -> None:
        """SIGKILL; what was answered is on disk."""
        self.child.kill()
        wait_until_unused(self._folder, PREDECESSOR_SECONDS)


def start_valkey(folder: Path, *, log: Path | None = None, patience: float = PREDECESSOR_SECONDS) -> Valkey:
    """Start Valkey in `folder`, which is made when missing; returns when it has loaded its data and answers.

    Args:
        folder: all of the server's files; must be its own.
        log: file for its output in place of `<folder>/valkey.log`.
        patience: seconds a predecessor in the same folder may take to end.

    Raises:
        EmbeddedError: the folder cannot be used, another server runs in it, or the server does not start.

    """
    folder = folder.resolve()
    account = server_account()
    program = valkey_program(account)
    claim_folder(folder, account)
    if (pid := wait_until_unused(folder, patience)) is not None:
        msg = f"Valkey already runs in {folder} (process {pid}); stop it or choose another folder"
        raise EmbeddedError(msg)
    path = socket_folder(folder, account) / "valkey.sock"
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        # Inputs of accepted predictions are here and nowhere else. With `everysec` a crash of the machine loses the last second,
        # and a kill -9 during a slow flush what waited for it. Writes of one round of the event loop share a flush.
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    child = spawn(
        "Valkey",
        [str(program), *(part for name, value in options.items() for part in (f"--{name}", value))],
        log=log or folder / "valkey.log",
        environment=plain_environment(),
        folder=folder,
        account=account,
        when_parent_dies=signal.SIGTERM,
    )
    try:
        _wait_until_ready(child, path, folder)
    except BaseException:
        child.end((signal.SIGTERM, 2.0))
        raise
    return Valkey(child, path, folder)


def _wait_until_ready(child: Child, path: Path, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(path):
        if child.exit_code is not None:
            msg = f"Valkey in {folder} ended {child.how_it_ended()}\n{child.tail()}"
            raise EmbeddedError(msg)
        if time.monotonic() > deadline:
            msg = f"Valkey in {folder} is not ready after {START_SECONDS:.0f} s\n{child.tail()}"
            raise EmbeddedError(msg)
        time.sleep(_POLL_SECONDS)


def _answers(path: Path) -> bool:
    """PING; while it loads its file it answers with an error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
