"""Named places at which a test can kill, break or hold this process; in production every one of them does nothing.

Set by two environment variables, read once at import:

* `ANALYTICS_TESTING=1`, without which a process that finds the other one refuses to start;
* `ANALYTICS_FAILPOINTS="worker.computed=kill@3,bell.rung=raise"`: at the third passing of one, at the first of the other.

Actions: `kill` is SIGKILL to this process; `raise` raises `FailPointReached`, which nobody expects; `stop` is SIGSTOP to
this process until somebody sends SIGCONT; `hold:/path` writes `/path.reached` and waits, with the event loop going on,
until `/path` exists. Each acts once.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = frozenset(
    {
        "request.input_kept",
        "request.accepted_before_commit",
        "request.committed",
        "dispatch.claimed_before_commit",
        "dispatch.committed",
        "dispatch.enqueued",
        "sweep.taken_back_before_commit",
        "sweep.done",
        "bell.rung",
        "relay.published_before_commit",
        "worker.received",
        "worker.acknowledged",
        "worker.input_read",
        "worker.computed",
        "worker.finished_before_commit",
        "worker.finished",
        "worker.input_forgotten",
        "schedule.taken_before_commit",
        "schedule.taken",
        "schedule.organization_done",
    }
)
"""Every fail point; a contract test holds that each is passed at exactly one place."""

_POINT = re.compile(r"(?P<name>[a-z._]+)=(?P<action>kill|raise|stop|hold:(?P<path>/[^@]+))(@(?P<passing>[1-9][0-9]*))?")
_POLL_SECONDS = 0.01
_log = structlog.get_logger(__name__)


class FailPointReached(RuntimeError):
    """A test wanted this."""


class FailPointsRefused(ValueError):
    """The environment asks for fail points that do not exist, or outside of a test; the text says which."""


@dataclass(slots=True)
class _Armed:
    """A fail point that will act when it was passed `left` more times."""

    action: str
    path: Path
    left: int


def parse(environment: Mapping[str, str]) -> dict[str, _Armed] | None:
    """Read the armed points; None when there are none.

    Raises:
        FailPointsRefused: see the class.

    """
    wanted = environment.get("ANALYTICS_FAILPOINTS", "")
    if not wanted:
        return None
    if environment.get("ANALYTICS_TESTING") != "1":
        msg = "ANALYTICS_FAILPOINTS is set, and fail points are for tests only (ANALYTICS_TESTING=1)"
        raise FailPointsRefused(msg)
    armed = {}
    for part in wanted.split(","):
        found = _POINT.fullmatch(part)
        if found is None or found["name"] not in NAMES:
            msg = f"ANALYTICS_FAILPOINTS: {part!r} is no fail point"
            raise FailPointsRefused(msg)
        armed[found["name"]] = _Armed(found["action"], Path(found["path"] or ""), int(found["passing"] or 1))
    return armed


def _read_once() -> dict[str, _Armed] | None:
    try:
        return parse(os.environ)
    except FailPointsRefused as error:
        raise SystemExit(str(error)) from None


_armed = _read_once()


async def passing(name: str) -> None:
    """Mark a place; acts there when a test asked for it."""
    if _armed is None or name not in _armed:
        return
    point = _armed[name]
    point.left -= 1
    if point.left:
        return
    del _armed[name]
    await _act(name, point)


async def _act(name: str, point: _Armed) -> None:
    _log.warning("failpoint.acts", failpoint=name, action=point.action)
    match point.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "raise":
            raise FailPointReached(name)
        case _:
            point.path.with_name(f"{point.path.name}.reached").touch()
            while not point.path.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(_POLL_SECONDS)
