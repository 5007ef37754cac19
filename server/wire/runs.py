"""Runs of jobs as messages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

from analytics.admin.v1 import operations_service_pb2 as pb

from server.identity import ModelId
from server.registry.model import ModelType
from server.schedule import calendar
from server.schedule.marks.model import Outcome
from server.schedule.model import RunState
from server.training import model as training
from server.wire.failures import status
from server.wire.models import model_message, model_type, model_type_message
from server.wire.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from server.registry.model import Model
    from server.schedule.ledger.model import Standing
    from server.schedule.marks.model import Mark
    from server.schedule.model import Dealt, Run

    # By the text of their ids.
    Models: TypeAlias = Mapping[str, Model]

_STATES = {
    RunState.QUEUED: pb.JOB_RUN_STATE_QUEUED,
    RunState.RUNNING: pb.JOB_RUN_STATE_RUNNING,
    RunState.COMPLETED: pb.JOB_RUN_STATE_COMPLETED,
    RunState.FAILED: pb.JOB_RUN_STATE_FAILED,
}
_OUTCOMES = {
    Outcome.DONE: pb.JOB_RUN_OUTCOME_DONE,
    Outcome.SKIPPED: pb.JOB_RUN_OUTCOME_SKIPPED,
    Outcome.FAILED: pb.JOB_RUN_OUTCOME_FAILED,
}
_OUTCOMES_BACK = {value: key for key, value in _OUTCOMES.items()}
_STATES_BACK = {value: key for key, value in _STATES.items()}


def run_state_filter(value: pb.JobRunState.ValueType) -> RunState | None:
    """Return the domain's value; unspecified is no filter."""
    return _STATES_BACK.get(value)


def outcome_filter(value: pb.JobRunOutcome.ValueType) -> Outcome | None:
    """Return the domain's value; unspecified is no filter."""
    return _OUTCOMES_BACK.get(value)


def job_of(request: pb.RunJobRequest) -> tuple[str, str]:
    """Return the job that is asked for, and its scope."""
    job = request.WhichOneof("job")
    if job is None:
        msg = "a request without a job does not pass the validation"
        raise LookupError(msg)
    return job, model_type(request.train.model_type).value if job == training.TRAIN else ""


def run_message(run: Run, models: Models) -> pb.JobRun:
    """Return the message of a run; `models` holds the versions that its result names (`model_ids`)."""
    message = pb.JobRun(
        id=str(run.run_id),
        kind=run.job,
        state=_STATES[run.state],
        progress=run.progress,
        message=run.message,
        create_time=timestamp(run.created_at),
        start_time=timestamp(run.started_at),
        complete_time=timestamp(run.completed_at),
        revision=run.revision,
        scheduled_for=timestamp(run.scheduled_for),
    )
    match run.job:
        case training.TRAIN:
            message.train.model_type = model_type_message(ModelType(run.scope))
        case calendar.DAILY_METRICS:
            message.daily_metrics.SetInParent()
        case calendar.WEEKLY_RETRAINING:
            message.weekly_retraining.SetInParent()
        case calendar.MONTHLY_BENCHMARKS:
            message.monthly_benchmarks.SetInParent()
    if run.error_reason:
        message.error.CopyFrom(status(run.error_reason, run.error_message))
    if run.organizations is not None:
        message.organizations.CopyFrom(_organizations(run.organizations))
    if run.result is not None:
        _put_result(message, run.job, run.result, models)
    return message


def model_ids(run: Run) -> Sequence[ModelId]:
    """Return the versions that a run's result names."""
    result = run.result or {}
    named = [result.get("model_id"), *(each.get("model_id") for each in _types(result))]
    # Of a type that got no version it is empty.
    return [ModelId(UUID(each)) for each in named if isinstance(each, str) and each]


def mark_message(mark: Mark) -> pb.JobRunOrganization:
    """Return what a run came to for one organization."""
    entry = mark.entry
    return pb.JobRunOrganization(org_id=entry.org, outcome=_OUTCOMES[entry.outcome], reason=entry.reason, time=timestamp(mark.at))


def schedule_message(standing: Standing, latest: pb.JobRun | None) -> pb.Schedule:
    """Return a schedule with the latest run of its job."""
    schedule = standing.schedule
    return pb.Schedule(
        job=schedule.job,
        cron=schedule.cron,
        description=schedule.description,
        next_tick_time=timestamp(schedule.next_tick(standing.now)),
        latest_tick_time=timestamp(standing.latest),
        latest_run=latest,
        waiting_tick_time=timestamp(standing.due),
    )


def _organizations(dealt: Dealt) -> pb.JobRunOrganizations:
    sums = Counter[str]()
    for each in dealt.counts:
        sums[each.outcome] += each.organizations
    reasons = [
        pb.JobRunReason(outcome=_OUTCOMES[Outcome(each.outcome)], reason=each.reason, organizations=each.organizations)
        for each in dealt.counts
        if each.outcome != Outcome.DONE
    ]
    return pb.JobRunOrganizations(
        total=dealt.total, done=sums[Outcome.DONE], skipped=sums[Outcome.SKIPPED], failed=sums[Outcome.FAILED], reasons=reasons
    )


def _put_result(message: pb.JobRun, job: str, result: Mapping[str, object], models: Models) -> None:
    """Show the JSON of a job; what a message has no place for is left out."""
    match job:
        case training.TRAIN:
            model = models.get(str(result.get("model_id")))
            organizations = result.get("organizations")
            if model is not None:
                shown = pb.TrainResult(model=model_message(model), organizations=organizations if isinstance(organizations, int) else 0)
                message.train_result.CopyFrom(shown)
        case calendar.DAILY_METRICS:
            message.daily_metrics_result.CopyFrom(pb.DailyMetricsResult(counts=_counts(result)))
        case calendar.WEEKLY_RETRAINING:
            message.weekly_retraining_result.CopyFrom(
                pb.WeeklyRetrainingResult(types=[_retrained(each, models) for each in _types(result)])
            )
        case calendar.MONTHLY_BENCHMARKS:
            message.monthly_benchmarks_result.CopyFrom(pb.MonthlyBenchmarksResult(counts=_counts(result)))


def _counts(result: Mapping[str, object]) -> Mapping[str, int]:
    return {name: value for name, value in result.items() if isinstance(value, int) and not isinstance(value, bool)}


def _types(result: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    types = result.get("types")
    return [each for each in types if isinstance(each, dict)] if isinstance(types, list) else []


def _retrained(each: Mapping[str, object], models: Models) -> pb.RetrainedType:
    message = pb.RetrainedType(
        model_type=model_type_message(ModelType(str(each["model_type"]))),
        activated=each.get("activated") is True,
        reason=str(each.get("reason") or ""),
    )
    model = models.get(str(each.get("model_id")))
    if model is not None:
        message.model.CopyFrom(model_message(model))
    return message
