"""`analyticsctl jobs`, `job`, `cancel` and `watch`: the organization's prediction jobs."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

import typer
from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.models_pb2 import ModelType
from analytics.v1.predictions_pb2 import (
    CancelPredictionJobRequest,
    GetPredictionJobRequest,
    ListPredictionJobsRequest,
    PredictionJob,
    PredictionJobState,
    WatchPredictionJobRequest,
)
from google.protobuf.duration_pb2 import Duration

from server.ctl.connection import Connection
from server.ctl.failures import ExitCode
from server.ctl.paging import PAGE, all_pages, enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import as_dict, note, print_json
from server.ctl.show import JOB_ENDED, job_state, print_job, print_jobs
from server.ctl.watching import Followed, follow

JobId: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="Id of the prediction job.", show_default=False)]

# The longest wait the contract allows in one call.
_LONGEST_WAIT = 30.0


def jobs(
    ctx: typer.Context,
    *,
    type_: Annotated[str, typer.Option("--type", help="Only this model type, for example turnover.")] = "",
    state: Annotated[str, typer.Option(help="Only this state: queued, running, completed, failed, cancelled.")] = "",
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List prediction jobs, newest first."""
    connection = start(ctx, json_output=json_output).tenant
    stub = AnalyticsServiceStub(connection.channel)
    kind = ModelType.ValueType(enum_filter(ModelType.DESCRIPTOR, "--type", type_))
    wanted = PredictionJobState.ValueType(enum_filter(PredictionJobState.DESCRIPTOR, "--state", state))

    def page(size: int, token: str) -> tuple[list[PredictionJob], str]:
        request = ListPredictionJobsRequest(model_type=kind, state=wanted, page_size=size, page_token=token)
        answer = connection.unary(stub.ListPredictionJobs, request)
        return list(answer.jobs), answer.next_page_token

    found = all_pages(page, limit)
    if json_output:
        print_json({"jobs": [as_dict(job) for job in found]})
    else:
        print_jobs(found)


def job(
    ctx: typer.Context,
    job_id: JobId,
    *,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for its end.")] = 0.0,
    json_output: JsonOption = False,
) -> None:
    """Show a prediction job with its result. With --wait, exit code 1 when it failed or was cancelled."""
    session = start(ctx, json_output=json_output)
    finish(wait_for(session.tenant, job_id, wait), json_output=json_output, must_succeed=wait > 0)


def cancel(ctx: typer.Context, job_id: JobId, *, json_output: JsonOption = False) -> None:
    """Cancel a prediction job that has not ended."""
    connection = start(ctx, json_output=json_output).tenant
    request = CancelPredictionJobRequest(job_id=job_id, request_id=str(uuid.uuid4()))
    cancelled = connection.unary(AnalyticsServiceStub(connection.channel).CancelPredictionJob, request).job
    if json_output:
        print_json(cancelled)
    else:
        print_job(cancelled)


def watch(ctx: typer.Context, job_id: JobId, *, json_output: JsonOption = False) -> None:
    """Follow a prediction job to its end. Exit code 1 when it failed or was cancelled."""
    connection = start(ctx, json_output=json_output).tenant
    stub = AnalyticsServiceStub(connection.channel)

    def stream(revision: int, seconds: float) -> Iterator[PredictionJob | None]:
        request = WatchPredictionJobRequest(job_id=job_id, after_revision=revision)
        with connection.calling() as metadata:
            for message in stub.WatchPredictionJob(request, metadata=metadata, timeout=seconds):
                yield message.job if message.HasField("job") else None

    last = PredictionJob()
    with left_to_itself(job_id):
        for last in follow(Followed(stream, lambda job: job.revision, lambda job: job.state in JOB_ENDED)):
            note(f"{job_state(last)} (revision {last.revision})")
    finish(last, json_output=json_output)


def wait_for(connection: Connection, job_id: str, seconds: float) -> PredictionJob:
    """The job when it has ended, or as it stands after `seconds`."""
    stub = AnalyticsServiceStub(connection.channel)
    with left_to_itself(job_id):
        while True:
            step = min(seconds, _LONGEST_WAIT)
            request = GetPredictionJobRequest(job_id=job_id)
            if step > 0:
                request.wait.CopyFrom(Duration(seconds=int(step), nanos=int(step % 1 * 1e9)))
            found = connection.unary(stub.GetPredictionJob, request, extra_seconds=step).job
            seconds -= step
            if found.state in JOB_ENDED or seconds <= 0:
                return found


@contextmanager
def left_to_itself(job_id: str) -> Iterator[None]:
    """Say at Ctrl-C that the job goes on, and how to find it again: its id was perhaps never shown."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"stopped waiting; the job goes on. Follow it with: analyticsctl watch {job_id}, or end it with: analyticsctl cancel {job_id}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def finish(found: PredictionJob, *, json_output: bool, must_succeed: bool = True) -> None:
    """Show a job and end with its exit code, which counts an end without a result as a failure if `must_succeed`."""
    if json_output:
        print_json(found)
    else:
        print_job(found)
        if found.state not in JOB_ENDED:
            note(f"It has not ended; follow it with: analyticsctl watch {found.id}")
    if must_succeed and found.state in JOB_ENDED and found.state != PredictionJobState.PREDICTION_JOB_STATE_COMPLETED:
        raise typer.Exit(ExitCode.REFUSED)
