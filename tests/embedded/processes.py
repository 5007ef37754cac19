"""Waiting for the end of processes that are not our children, and finding what a run has left."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path


def ends_within(pid: int, seconds: float) -> bool:
    """Whether a process, anybody's, ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def left_of(folder: Path) -> dict[int, str]:
    """Running processes that name `folder` in their arguments, environment or working folder."""
    found = {}
    name = os.fsencode(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes()
            cwd = os.fsencode((entry / "cwd").readlink())
            if int(entry.name) != os.getpid() and any(name in text for text in (arguments, cwd, (entry / "environ").read_bytes())):
                found[int(entry.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    return found


def all_end_within(folder: Path, seconds: float) -> dict[int, str]:
    """What is left of `folder` when each process has had its seconds; empty is good."""
    for pid in left_of(folder):
        ends_within(pid, seconds)
    return left_of(folder)
