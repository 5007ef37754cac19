"""`analyticsctl schedule`: what runs by the clock, running it now, and how its runs went."""

from typing import Annotated

import typer
from analytics.admin.v1.operations_service_pb2 import (
    GetJobRunRequest,
    JobRun,
    JobRunOrganization,
    JobRunOutcome,
    JobRunState,
    ListJobRunOrganizationsRequest,
    ListJobRunsRequest,
    ListSchedulesRequest,
    ListSchedulesResponse,
    RunJobRequest,
    Schedule,
)
from analytics.admin.v1.operations_service_pb2_grpc import OperationsServiceStub

from server.ctl.connection import Connection
from server.ctl.failures import BadInput, ExitCode
from server.ctl.paging import PAGE, all_pages, enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import as_dict, note, print_json, print_table, when
from server.ctl.show import organizations as organizations_of
from server.ctl.show import outcome as outcome_name
from server.ctl.show import print_run, run_name, run_state
from server.ctl.training import begin_run, to_the_end

app = typer.Typer(help="What runs by the clock.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.", show_default=False)]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it to its end.")]
# `train` wants a model type and has a command of its own.
JOBS = [field.name for field in RunJobRequest.DESCRIPTOR.oneofs_by_name["job"].fields if field.name != "train"]


@app.callback(invoke_without_command=True)
def schedule(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """List what runs by the clock, when next, and how its latest run went. `schedule run JOB` runs one now."""
    if ctx.invoked_subcommand is None:
        _list(ctx, json_output=json_output)


@app.command("list")
def list_(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """List what runs by the clock, when next, and how its latest run went."""
    _list(ctx, json_output=json_output)


@app.command("run")
def run(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help=f"One of {', '.join(JOBS)}.", show_default=False)],
    *,
    watch: Watch = False,
    attach: Annotated[bool, typer.Option("--attach", help="Take the run that is under way, if there is one.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Run a job now, beside its schedule. With --watch, exit code 1 when it failed."""
    session = start(ctx, json_output=json_output)
    request = RunJobRequest()
    getattr(request, _job(job)).SetInParent()
    begun = begin_run(session.operator, request, attach=attach)
    if not json_output:
        note(f"{run_name(begun)}: run {begun.id}")
    _show(session.operator, begun, watch=watch, json_output=json_output)


@app.command("watch")
def watch(ctx: typer.Context, run_id: RunId, *, json_output: JsonOption = False) -> None:
    """Follow a run to its end. Exit code 1 when it failed."""
    connection = start(ctx, json_output=json_output).operator
    found = connection.unary(OperationsServiceStub(connection.channel).GetJobRun, GetJobRunRequest(run_id=run_id)).run
    _show(connection, found, watch=True, json_output=json_output)


@app.command("runs")
def runs(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="Only of this job.", show_default=False)] = "",
    *,
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List the runs of scheduled jobs, newest first, also those that a person began."""
    kinds = [_job(job)] if job else JOBS
    connection = start(ctx, json_output=json_output).operator
    stub = OperationsServiceStub(connection.channel)

    def page(size: int, token: str) -> tuple[list[JobRun], str]:
        answer = connection.unary(stub.ListJobRuns, ListJobRunsRequest(kinds=kinds, page_size=size, page_token=token))
        return list(answer.runs), answer.next_page_token

    found = all_pages(page, limit)
    if json_output:
        print_json({"runs": [as_dict(run) for run in found]})
        return
    rows = [
        (each.id, run_name(each), when(each.scheduled_for) or "by hand", run_state(each), organizations_of(each), when(each.create_time))
        for each in found
    ]
    print_table("", ["id", "job", "scheduled for", "state", "organizations", "created"], rows)


@app.command("organizations")
def organizations(
    ctx: typer.Context,
    run_id: RunId,
    *,
    outcome: Annotated[str, typer.Option(help="Only these: done, skipped, failed.")] = "",
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List what a run came to for each organization, by their ids."""
    connection = start(ctx, json_output=json_output).operator
    stub = OperationsServiceStub(connection.channel)
    wanted = JobRunOutcome.ValueType(enum_filter(JobRunOutcome.DESCRIPTOR, "--outcome", outcome))

    def page(size: int, token: str) -> tuple[list[JobRunOrganization], str]:
        request = ListJobRunOrganizationsRequest(run_id=run_id, outcome=wanted, page_size=size, page_token=token)
        answer = connection.unary(stub.ListJobRunOrganizations, request)
        return list(answer.organizations), answer.next_page_token

    found = all_pages(page, limit)
    if json_output:
        print_json({"organizations": [as_dict(each) for each in found]})
    else:
        rows = [(each.org_id, outcome_name(each.outcome), each.reason, when(each.time)) for each in found]
        print_table("", ["organization", "outcome", "reason", "time"], rows)


def _job(text: str) -> str:
    name = text.strip().lower().replace("-", "_")
    if name not in JOBS:
        msg = f"{text!r} is none of {', '.join(JOBS)}"
        raise BadInput(msg)
    return name


def _list(ctx: typer.Context, *, json_output: bool) -> None:
    connection = start(ctx, json_output=json_output).operator
    answer: ListSchedulesResponse = connection.unary(OperationsServiceStub(connection.channel).ListSchedules, ListSchedulesRequest())
    if json_output:
        print_json(answer)
        return
    rows = [(each.job, each.cron, when(each.next_tick_time), when(each.latest_tick_time), _state(each)) for each in answer.schedules]
    print_table("", ["job", "cron (UTC)", "next", "last tick", "latest run"], rows)


def _state(each: Schedule) -> str:
    """How the latest run went, and whether a tick waits."""
    last = run_state(each.latest_run) if each.HasField("latest_run") else "never run"
    if each.HasField("latest_run") and not each.latest_run.HasField("scheduled_for"):
        last = f"{last}, by hand"
    return f"{last}, due since {when(each.waiting_tick_time)}" if each.HasField("waiting_tick_time") else last


def _show(connection: Connection, run: JobRun, *, watch: bool, json_output: bool) -> None:
    if watch:
        run = to_the_end(connection, run)
    if json_output:
        print_json(run)
    else:
        print_run(run)
    if watch and run.state == JobRunState.JOB_RUN_STATE_FAILED:
        raise typer.Exit(ExitCode.REFUSED)
