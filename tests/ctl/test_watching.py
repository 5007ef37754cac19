"""Following to the end, over broken streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from server.ctl.failures import CtlFailure, ExitCode, Refusal, Refused
from server.ctl.watching import Followed, follow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

END = 9


@dataclass
class Clock:
    """A clock that only moves when somebody sleeps."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def broken(code: str, retry_after: float | None = None, exit_code: ExitCode = ExitCode.REFUSED) -> Refused:
    return Refused(Refusal(code, "gone", retry_after=retry_after), exit_code)


def followed(streams: Sequence[Sequence[int | Exception | None]], opened: list[int]) -> Followed[int]:
    """Revisions as states; each stream is used once, the last for ever."""
    left = list(streams)

    def stream(revision: int, seconds: float) -> Iterator[int | None]:
        opened.append(revision)
        for item in left.pop(0) if len(left) > 1 else left[0]:
            if isinstance(item, Exception):
                raise item
            yield item

    return Followed(stream, lambda state: state, lambda state: state == END)


def test_states_come_until_the_end_without_heartbeats() -> None:
    opened: list[int] = []
    assert list(follow(followed([[1, None, 2, END, 10]], opened))) == [1, 2, END]
    assert opened == [0]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_a_broken_stream_is_taken_up_after_the_last_revision(code: str) -> None:
    opened: list[int] = []
    clock = Clock()
    states = follow(followed([[1, 5, broken(code)], [END]], opened), clock=lambda: clock.now, sleep=clock.sleep)
    assert list(states) == [1, 5, END]
    assert opened == [0, 5]


def test_the_server_says_how_long_to_wait() -> None:
    clock = Clock()
    assert list(follow(followed([[broken("UNAVAILABLE", 3.0)], [END]], []), clock=lambda: clock.now, sleep=clock.sleep)) == [END]
    assert clock.pauses == [3.0]


def test_a_stream_that_ends_early_is_opened_again() -> None:
    clock = Clock()
    assert list(follow(followed([[1], [END]], []), clock=lambda: clock.now, sleep=clock.sleep)) == [1, END]


def test_an_error_that_waiting_does_not_mend_ends_it_at_once() -> None:
    clock = Clock()
    with pytest.raises(Refused):
        list(follow(followed([[broken("NOT_FOUND")]], []), clock=lambda: clock.now, sleep=clock.sleep))
    assert clock.pauses == []


def test_a_server_that_stays_away_is_given_up_after_a_minute() -> None:
    clock = Clock()
    with pytest.raises(Refused):
        list(follow(followed([[broken("UNAVAILABLE")]], []), clock=lambda: clock.now, sleep=clock.sleep))
    assert 60 <= clock.now < 70


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    clock = Clock()
    nobody = broken("UNAVAILABLE", exit_code=ExitCode.UNREACHABLE)
    with pytest.raises(Refused):
        list(follow(followed([[nobody]], []), clock=lambda: clock.now, sleep=clock.sleep))
    assert clock.pauses == []


@pytest.mark.parametrize("before", [[1], [None], [broken("UNAVAILABLE")]], ids=["a state", "a heartbeat", "a refusal of its own"])
def test_a_server_that_has_answered_once_is_waited_for(before: list[int | Exception | None]) -> None:
    clock = Clock()
    nobody = broken("UNAVAILABLE", exit_code=ExitCode.UNREACHABLE)
    states = follow(followed([[*before], [nobody], [END]], []), clock=lambda: clock.now, sleep=clock.sleep)
    assert list(states)[-1] == END
    told_before = follow(followed([[nobody], [END]], []), reached=True, clock=lambda: clock.now, sleep=clock.sleep)
    assert list(told_before) == [END]


def test_streams_that_end_without_a_word_are_given_up_after_a_minute() -> None:
    clock = Clock()
    with pytest.raises(CtlFailure, match="again and again"):
        list(follow(followed([[]], []), clock=lambda: clock.now, sleep=clock.sleep))
    assert 60 <= clock.now < 70


def test_the_time_is_up_when_it_is_up() -> None:
    clock = Clock()
    with pytest.raises(CtlFailure, match="not ended within 10 s"):
        list(follow(followed([[None]], []), within=10, clock=lambda: clock.now, sleep=clock.sleep))
    assert clock.now == pytest.approx(10)
