"""Following a job or a run to its end, over shutdowns of the server.

What always holds: a message is handed on once and revisions only grow; the watching ends at a terminal state, or as a
failure when the time is up, the server stays away for over a minute, or an error comes that waiting does not mend.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from server.ctl.failures import CtlFailure, ExitCode, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FollowedT = TypeVar("FollowedT")

# A watch lasts at most as long as a server keeps a stream open by default; it is opened again after that.
_STREAM_SECONDS = 3600.0
_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
_PATIENCE_SECONDS = 60.0
_FIRST_DELAY, _LAST_DELAY = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Followed(Generic[FollowedT]):
    """How to follow one kind of thing.

    `open` starts the stream after a revision, for so many seconds at most, and yields the thing, or None for a heartbeat.
    """

    open: Callable[[int, float], Iterator[FollowedT | None]]
    revision: Callable[[FollowedT], int]
    ended: Callable[[FollowedT], bool]


def follow(
    what: Followed[FollowedT],
    *,
    within: float = math.inf,
    reached: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[FollowedT]:
    """Every state of the thing until it has ended, for `within` seconds at most.

    A stream that breaks off (UNAVAILABLE, deadline) or ends early is opened again after the last revision. `reached` says that
    the server has answered before; one that never did, here or before, is not waited for: its address is likelier wrong.

    Raises:
        Refused: nothing came for a minute in spite of opening it again, nothing ever answered, or the error is not a passing one.
        CtlFailure: the time is up, or for a minute the stream ended again and again without a word.

    """
    end = clock() + within
    revision, silent, delay = 0, 0.0, _FIRST_DELAY
    while (left := end - clock()) > 0:
        pause = delay
        try:
            for state in what.open(revision, min(left, _STREAM_SECONDS)):
                silent, delay, reached = 0.0, _FIRST_DELAY, True
                if state is None:
                    continue
                revision = max(revision, what.revision(state))
                yield state
                if what.ended(state):
                    return
        except Refused as failure:
            reached = reached or failure.exit_code is not ExitCode.UNREACHABLE
            if not reached or failure.refusal.code not in _PASSING or (silent >= _PATIENCE_SECONDS and clock() < end):
                raise
            pause = max(failure.refusal.retry_after or 0.0, delay)
        if silent >= _PATIENCE_SECONDS:
            msg = "the server ends the watch again and again without saying how the matter ended"
            raise CtlFailure(msg)
        pause = min(pause, max(0.0, end - clock()))
        sleep(pause)
        silent, delay = silent + pause, min(delay * 2, _LAST_DELAY)
    msg = f"it has not ended within {within:g} s"
    raise CtlFailure(msg)
