"""A child process that cannot outlive us: own session, killed by the kernel when its parent dies.

The kernel ties the death signal to the thread that started the child, so start children from a thread that lives as long
as they should (the main thread).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.embedded.account import Account

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
_POLL_SECONDS = 0.01


class Child:
    """A started process with a name, and perhaps a file that has its output."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path | None) -> None:
        """Wrap a process made by `spawn`."""
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """Process id, also the id of its session."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal when one ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended is left alone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False when it still runs after `seconds`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal and give it its seconds; what then still runs is killed with its whole session."""
        for number, seconds in steps:
            self.send(number)
            if self.wait(seconds):
                return
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and what it left in its session, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.send(signal.SIGKILL)
        self._process.wait()

    def how_it_ended(self) -> str:
        """`with exit code 3` or `by SIGKILL`."""
        code = self.exit_code
        if code is None:
            return "not at all"
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of its output file, with the path above them; empty without a file."""
        if self.log is None:
            return ""
        try:
            text = self.log.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            return ""
        return "\n".join([f"last lines of {self.log}:", *(f"  {line}" for line in text)])


def spawn(  # noqa: PLR0913 - a process has that many properties
    name: str,
    command: Sequence[str],
    *,
    log: Path | None,
    environment: Mapping[str, str],
    folder: Path | None = None,
    account: Account | None = None,
    when_parent_dies: signal.Signals = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a child.

    Args:
        name: what messages call it.
        command: program and arguments.
        log: file its output is appended to; None lets it write where we do.
        environment: all of its environment.
        folder: its working folder.
        account: whom to become first.
        when_parent_dies: signal the kernel sends it when our thread ends.
        pass_fds: descriptors it keeps.

    """
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(_append(log))
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if log is None else subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            preexec_fn=_last_step(os.getpid(), when_parent_dies),  # noqa: PLW1509 - the only place after the change of user, which clears the death signal
        )
    return Child(name, process, log)


def processes_in(folder: Path) -> list[int]:
    """Ids of processes whose working folder is `folder`: how PostgreSQL and Valkey are recognized after a crash of ours.

    Empty on systems without /proc.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


def wait_until_unused(folder: Path, seconds: float) -> int | None:
    """Wait until no process works in `folder`; the id of one that still does after `seconds`."""
    deadline = time.monotonic() + seconds
    while found := processes_in(folder):
        if time.monotonic() > deadline:
            return found[0]
        time.sleep(_POLL_SECONDS)
    return None


def plain_environment() -> dict[str, str]:
    """Environment of a database: nothing of the caller's PG* or locale settings reaches it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _append(log: Path) -> BinaryIO:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _last_step(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    def prepare() -> None:
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return prepare
