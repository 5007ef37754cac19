"""Starting a run and following it to its end; shared by `train`, `run`, `schedule` and `demo`."""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING

from analytics.admin.v1.operations_service_pb2 import (
    GetJobRunRequest,
    JobRun,
    RunJobRequest,
    TrainJob,
    WatchJobRunRequest,
)
from analytics.admin.v1.operations_service_pb2_grpc import OperationsServiceStub
from analytics.v1.models_pb2 import ModelType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from server.ctl.failures import BadInput, Refused
from server.ctl.render import console
from server.ctl.show import RUN_ENDED
from server.ctl.values import Unreadable, choice
from server.ctl.watching import Followed, follow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.ctl.connection import Connection

_WAITING = "waiting for a worker"


def model_type(text: str) -> ModelType.ValueType:
    """The model type a person means: `turnover_prediction`, `TURNOVER_PREDICTION` or `turnover`.

    Raises:
        BadInput: there is none of this name.

    """
    try:
        return ModelType.ValueType(choice(ModelType.DESCRIPTOR, text))
    except Unreadable as error:
        msg = f"model type {error}"
        raise BadInput(msg) from None


def begin(connection: Connection, kind: ModelType.ValueType, *, attach: bool) -> JobRun:
    """Start a training; with `attach`, the run that is under way instead where there is one.

    Raises:
        Refused: the server refused, also because a run exists and `attach` is off.

    """
    return begin_run(connection, RunJobRequest(train=TrainJob(model_type=kind)), attach=attach)


def begin_run(connection: Connection, request: RunJobRequest, *, attach: bool) -> JobRun:
    """Start a run of any job; as `begin`."""
    stub = OperationsServiceStub(connection.channel)
    request.request_id = str(uuid.uuid4())
    try:
        return connection.unary(stub.RunJob, request).run
    except Refused as failure:
        run_id = failure.refusal.resource_name
        if failure.refusal.reason != "JOB_RUN_EXISTS" or not attach or not run_id:
            raise
        return connection.unary(stub.GetJobRun, GetJobRunRequest(run_id=run_id)).run


def states(connection: Connection, run_id: str, within: float = math.inf) -> Iterator[JobRun]:
    """Every state of a run until it has ended, for `within` seconds at most."""
    stub = OperationsServiceStub(connection.channel)

    def stream(revision: int, seconds: float) -> Iterator[JobRun | None]:
        request = WatchJobRunRequest(run_id=run_id, after_revision=revision)
        with connection.calling() as metadata:
            for message in stub.WatchJobRun(request, metadata=metadata, timeout=seconds):
                yield message.run if message.HasField("run") else None

    return follow(Followed(stream, lambda run: run.revision, lambda run: run.state in RUN_ENDED), within=within, reached=True)


def to_the_end(connection: Connection, run: JobRun) -> JobRun:
    """Follow a run to its end, with a progress bar on a terminal; returns its last state."""
    if run.state in RUN_ENDED:
        return run
    terminal = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task(run.message or _WAITING, total=1.0)
        bar.update(task, completed=run.progress)
        last = run
        for last in states(connection, run.id):
            bar.update(task, completed=last.progress, description=last.message or _WAITING)
    return last
