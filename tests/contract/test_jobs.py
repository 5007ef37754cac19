"""The jobs of the contract are those that workers know, and every run of one can say which it was and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.admin.v1.operations_service_pb2 import JobRun, RunJobRequest

from server.schedule.calendar import CALENDAR
from workers.runs import JOBS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import OneofDescriptor


def names(choice: OneofDescriptor) -> set[str]:
    return {field.name for field in choice.fields}


def messages(choice: OneofDescriptor) -> dict[str, str]:
    return {field.name: field.message_type.full_name if field.message_type else "no message" for field in choice.fields}


def differences(handled: Iterable[str], asked: set[str], shown: set[str], results: set[str]) -> list[str]:
    """What of the jobs is missing where: in the workers, in RunJobRequest, in JobRun, among its results."""
    known = set(handled)
    every = known | asked | shown | {result.removesuffix("_result") for result in results}
    places = {
        "workers.runs.JOBS": known,
        "RunJobRequest.job": asked,
        "JobRun.job": shown,
        "JobRun.result": {result.removesuffix("_result") for result in results if result.endswith("_result")},
    }
    return sorted(f"{job} is not in {place}" for place, jobs in places.items() for job in every - jobs)


def test_every_job_that_can_be_asked_for_is_handled_and_shown_with_its_result() -> None:
    asked, shown = RunJobRequest.DESCRIPTOR.oneofs_by_name["job"], JobRun.DESCRIPTOR.oneofs_by_name["job"]
    assert JOBS
    assert differences(JOBS, names(asked), names(shown), names(JobRun.DESCRIPTOR.oneofs_by_name["result"])) == []


def test_a_job_is_described_by_the_same_message_when_it_is_asked_for_and_when_it_is_shown() -> None:
    asked, shown = RunJobRequest.DESCRIPTOR.oneofs_by_name["job"], JobRun.DESCRIPTOR.oneofs_by_name["job"]
    assert messages(asked) == messages(shown)


def without(scheduled: Iterable[str], handled: Iterable[str], asked: set[str], results: set[str]) -> list[str]:
    """What a job of the calendar lacks."""
    known = set(handled)
    lacking = [(job, "entry in workers.runs.JOBS") for job in scheduled if job not in known]
    lacking += [(job, "member in RunJobRequest.job") for job in scheduled if job not in asked]
    lacking += [(job, "member in JobRun.result") for job in scheduled if f"{job}_result" not in results]
    return sorted(f"{job} has no {what}" for job, what in lacking)


def test_every_job_of_the_calendar_is_handled_can_be_asked_for_and_shows_its_result() -> None:
    scheduled = [schedule.job for schedule in CALENDAR]
    assert len(set(scheduled)) == len(scheduled) == 3
    asked, results = RunJobRequest.DESCRIPTOR.oneofs_by_name["job"], JobRun.DESCRIPTOR.oneofs_by_name["result"]
    assert without(scheduled, JOBS, names(asked), names(results)) == []


def test_control_a_job_of_the_calendar_that_nothing_handles_is_found() -> None:
    assert without(["purge"], ["purge"], {"purge"}, {"purge_result"}) == []
    assert without(["purge"], ["train"], {"train"}, {"train_result"}) == [
        "purge has no entry in workers.runs.JOBS",
        "purge has no member in JobRun.result",
        "purge has no member in RunJobRequest.job",
    ]


def test_control_a_job_that_is_missing_somewhere_is_found() -> None:
    both = {"train", "purge"}
    assert differences(both, both, both, {"train_result", "purge_result"}) == []
    assert differences({"train"}, both, both, {"train_result", "purge_result"}) == ["purge is not in workers.runs.JOBS"]
    assert differences(both, {"train"}, both, {"train_result", "purge_result"}) == ["purge is not in RunJobRequest.job"]
    assert differences(both, both, {"train"}, {"train_result", "purge_result"}) == ["purge is not in JobRun.job"]
    assert differences(both, both, both, {"train_result"}) == ["purge is not in JobRun.result"]
