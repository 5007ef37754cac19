"""The page of schedules: when each is due, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.schedule.calendar import CALENDAR, DAILY_METRICS, MONTHLY_BENCHMARKS, WEEKLY_RETRAINING, Schedule

BY_JOB = {schedule.job: schedule for schedule in CALENDAR}
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=OFFSETS)  # noqa: DTZ001 - the strategy wants naive bounds


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def is_tick(job: str, instant: datetime) -> bool:
    """What the cron expressions mean, written out."""
    if (instant.minute, instant.second, instant.microsecond) != (0, 0, 0):
        return False
    if job == DAILY_METRICS:
        return instant.hour == 3
    if job == WEEKLY_RETRAINING:
        return instant.hour == 2 and instant.isoweekday() == 1
    return job == MONTHLY_BENCHMARKS and instant.hour == 1 and instant.day == 1


@given(st.sampled_from(CALENDAR), INSTANTS)
def test_an_instant_lies_between_its_latest_and_its_next_tick_and_there_is_none_between_them(schedule: Schedule, now: datetime) -> None:
    latest, following = schedule.latest_tick(now), schedule.next_tick(now)
    assert latest <= now < following
    assert is_tick(schedule.job, latest)
    assert is_tick(schedule.job, following)
    hours = int((following - latest) / timedelta(hours=1))
    assert not any(is_tick(schedule.job, latest + timedelta(hours=hour)) for hour in range(1, hours))


@pytest.mark.parametrize(
    ("job", "now", "latest", "following"),
    [
        (DAILY_METRICS, "2026-03-01 03:00:00", "2026-03-01 03:00", "2026-03-02 03:00"),
        (DAILY_METRICS, "2026-03-01 02:59:59.999999", "2026-02-28 03:00", "2026-03-01 03:00"),
        (WEEKLY_RETRAINING, "2026-03-02 02:00:00.000001", "2026-03-02 02:00", "2026-03-09 02:00"),
        (MONTHLY_BENCHMARKS, "2028-02-29 23:00:00", "2028-02-01 01:00", "2028-03-01 01:00"),
    ],
)
def test_the_ticks_are_those_of_the_requirements(job: str, now: str, latest: str, following: str) -> None:
    schedule = BY_JOB[job]
    assert (schedule.latest_tick(at(now)), schedule.next_tick(at(now))) == (at(latest), at(following))


def test_the_calendar_names_each_job_once() -> None:
    assert len(BY_JOB) == len(CALENDAR)
