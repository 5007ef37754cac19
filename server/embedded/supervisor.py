"""Keeps the children of one run together: all run, or all are stopped, the databases last.

The supervisor waits in one loop that a signal, a child's end or the parent's end wakes. Whatever ends it, nothing of it
stays: it stops its children in order, and when it is killed the kernel does (see `child`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from server.embedded import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from server.embedded.child import Child

PARENT_CHECK_SECONDS = 0.25
# Over the service's own drain time: closing pools and flushing telemetry.
DRAIN_MARGIN_SECONDS = 5.0
# What the service gets to end when a database is gone and there is nothing to drain into.
BROKEN_DRAIN_SECONDS = 3.0
# A group's and make's own SIGINT may arrive together; a person's second Ctrl-C does not.
_SECOND_SIGNAL_SECONDS = 0.7


class StopRequested(Exception):
    """Somebody asked for the end; the text says how."""


class Database(Protocol):
    """A server that is stopped after everything that uses it."""

    @property
    def child(self) -> Child:
        """Its process."""

    def stop(self) -> None:
        """End it in order."""


class Supervisor:
    """Context manager around one run; `pump` and everything that calls it raises `StopRequested` or `EmbeddedError`."""

    def __init__(self, *, drain_seconds: float, say: Callable[[str], None]) -> None:
        """Prepare; signals are taken over on entry.

        Args:
            drain_seconds: how long services may finish their work after SIGTERM.
            say: shows a line to the user.

        """
        self._drain_seconds = drain_seconds
        self._say = say
        self._databases: list[Database] = []
        self._services: list[Child] = []
        self._parent = os.getppid()
        self._asked = ""
        self._asked_at = 0.0
        self._hurry = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()

    def __enter__(self) -> Self:
        """Take over the signals, also those that a parent shell has set to be ignored."""
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored means nohup, and is meant
            signal.signal(signal.SIGHUP, self._note)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything: services first, together; then the databases."""
        broken = any(database.child.exit_code is not None for database in self._databases)
        self._stop_services(BROKEN_DRAIN_SECONDS if broken else self._drain_seconds + DRAIN_MARGIN_SECONDS)
        for database in reversed(self._databases):
            database.stop()
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def add_database(self, database: Database) -> None:
        """Watch a started database."""
        self._databases.append(database)

    def add_service(self, child: Child) -> None:
        """Watch a started service."""
        self._services.append(child)

    def pump(self, seconds: float) -> None:
        """Wait at most `seconds` for something to happen.

        Raises:
            StopRequested: a signal arrived, or the process that started us has ended.
            EmbeddedError: a child has ended.

        """
        self._sleep(seconds)
        for child in [*(database.child for database in self._databases), *self._services]:
            if child.exit_code is not None and not self._asked:
                msg = f"{child.name} (process {child.pid}) ended {child.how_it_ended()}; stopping the rest"
                raise EmbeddedError("\n".join(filter(None, [msg, child.tail()])))
        if self._asked:
            raise StopRequested(self._asked)
        if self._parent != 1 and os.getppid() != self._parent:
            msg = "the process that started this one has ended"
            raise StopRequested(msg)
        if _make_was_interrupted(self._parent):
            msg = "make was interrupted"
            raise StopRequested(msg)

    def watch(self) -> None:
        """Keep going until `pump` raises."""
        while True:
            self.pump(PARENT_CHECK_SECONDS)

    def finish(self, child: Child, seconds: float) -> None:
        """Wait until a one-time command has ended well.

        Raises:
            EmbeddedError: it failed or took longer than `seconds`.
            StopRequested: as for `pump`; the command is ended first.

        """
        deadline = time.monotonic() + seconds
        try:
            while child.exit_code is None:
                if time.monotonic() > deadline:
                    msg = f"{child.name} has not ended after {seconds:.0f} s"
                    raise EmbeddedError(msg)
                self.pump(min(PARENT_CHECK_SECONDS, seconds))
        finally:
            if child.exit_code is None:
                child.end((signal.SIGTERM, BROKEN_DRAIN_SECONDS))
        if child.exit_code != 0:
            msg = f"{child.name} ended {child.how_it_ended()}"
            raise EmbeddedError("\n".join(filter(None, [msg, child.tail()])))

    def read_line(self, child: Child, descriptor: int, seconds: float) -> str:
        """Wait for the line a service writes when it is ready.

        Raises:
            EmbeddedError: it ended, or said nothing for `seconds`.
            StopRequested: as for `pump`.

        """
        deadline = time.monotonic() + seconds
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ)
        text = b""
        try:
            while b"\n" not in text:
                self.pump(PARENT_CHECK_SECONDS)
                with contextlib.suppress(BlockingIOError):
                    part = os.read(descriptor, 4096)
                    text += part
                    if not part:  # closed: it is ending, which the next round reports, or it never will say a word
                        child.wait(PARENT_CHECK_SECONDS)
                if time.monotonic() > deadline:
                    msg = f"{child.name} is not ready after {seconds:.0f} s"
                    raise EmbeddedError("\n".join(filter(None, [msg, child.tail()])))
        finally:
            self._selector.unregister(descriptor)
        return text.decode().splitlines()[0]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked and number == signal.SIGINT and now - self._asked_at > _SECOND_SIGNAL_SECONDS:
            self._hurry = True
        if not self._asked:
            self._asked, self._asked_at = signal.Signals(number).name, now

    def _sleep(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)

    def _stop_services(self, seconds: float) -> None:
        for child in self._services:
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(child.exit_code is None for child in self._services) and time.monotonic() < deadline and not self._hurry:
            self._sleep(min(PARENT_CHECK_SECONDS, max(0.0, deadline - time.monotonic())))
        for child in self._services:
            if child.exit_code is None:
                self._say(f"{child.name} has not ended in time and is killed")
            child.kill()


def _make_was_interrupted(parent: int) -> bool:
    """Whether our parent is a make that got a SIGINT of its own, as by `kill -INT`.

    Such a make waits for its children without telling them; all that shows is that it blocks SIGINT, which it otherwise
    never does.
    """
    try:
        if Path(f"/proc/{parent}/comm").read_text().strip() not in {"make", "gmake"}:
            return False
        lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{parent}/status").read_text().splitlines())
        return bool(int(lines["SigBlk"], 16) >> (signal.SIGINT - 1) & 1)
    except (OSError, ValueError, KeyError):
        return False
