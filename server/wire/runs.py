"""Runs of jobs as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.admin.v1 import operations_service_pb2 as pb

from server.benchmarks.model import MONTHLY_BENCHMARKS
from server.registry.model import ModelType
from server.schedule.model import RunState
from server.training.model import TRAIN
from server.wire.failures import status
from server.wire.models import model_message, model_type_message
from server.wire.times import timestamp

if TYPE_CHECKING:
    from server.registry.model import Model
    from server.schedule.model import Run

_STATES = {
    RunState.QUEUED: pb.JOB_RUN_STATE_QUEUED,
    RunState.RUNNING: pb.JOB_RUN_STATE_RUNNING,
    RunState.COMPLETED: pb.JOB_RUN_STATE_COMPLETED,
    RunState.FAILED: pb.JOB_RUN_STATE_FAILED,
}
_STATES_BACK = {value: key for key, value in _STATES.items()}


def run_state_filter(value: pb.JobRunState.ValueType) -> RunState | None:
    """Return the domain's value; unspecified is no filter."""
    return _STATES_BACK.get(value)


def run_message(run: Run, model: Model | None) -> pb.JobRun:
    """Return the message of a run; `model` is the version that a training made, if it made one."""
    message = pb.JobRun(
        id=str(run.run_id),
        state=_STATES[run.state],
        progress=run.progress,
        message=run.message,
        create_time=timestamp(run.created_at),
        start_time=timestamp(run.started_at),
        complete_time=timestamp(run.completed_at),
        revision=run.revision,
    )
    if run.job == TRAIN:
        message.train.model_type = model_type_message(ModelType(run.scope))
    elif run.job == MONTHLY_BENCHMARKS:
        message.monthly_benchmarks.SetInParent()
    if run.error_reason:
        message.error.CopyFrom(status(run.error_reason, run.error_message))
    if run.result is not None and model is not None:
        organizations = run.result.get("organizations")
        result = pb.TrainResult(model=model_message(model), organizations=organizations if isinstance(organizations, int) else 0)
        message.train_result.CopyFrom(result)
    elif run.result is not None and run.job == MONTHLY_BENCHMARKS:
        counts = run.result.get("counts")
        message.monthly_benchmarks_result.counts.update(counts if isinstance(counts, dict) else {})
    return message
