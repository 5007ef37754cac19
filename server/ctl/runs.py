"""`analyticsctl runs`, `run` and `info`: what the platform's operator looks at."""

from typing import Annotated

import typer
from analytics.admin.v1.operations_service_pb2 import (
    GetJobRunRequest,
    GetServiceInfoRequest,
    JobRun,
    JobRunState,
    ListJobRunsRequest,
)
from analytics.admin.v1.operations_service_pb2_grpc import OperationsServiceStub

from server.ctl.failures import ExitCode
from server.ctl.paging import PAGE, all_pages, enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import as_dict, print_facts, print_json, when
from server.ctl.show import print_run, print_runs
from server.ctl.training import to_the_end


def runs(
    ctx: typer.Context,
    *,
    state: Annotated[str, typer.Option(help="Only runs in this state: queued, running, completed, failed.")] = "",
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List runs of background jobs, newest first."""
    connection = start(ctx, json_output=json_output).operator
    stub = OperationsServiceStub(connection.channel)
    wanted = JobRunState.ValueType(enum_filter(JobRunState.DESCRIPTOR, "--state", state))

    def page(size: int, token: str) -> tuple[list[JobRun], str]:
        answer = connection.unary(stub.ListJobRuns, ListJobRunsRequest(state=wanted, page_size=size, page_token=token))
        return list(answer.runs), answer.next_page_token

    found = all_pages(page, limit)
    if json_output:
        print_json({"runs": [as_dict(run) for run in found]})
    else:
        print_runs(found)


def run(
    ctx: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the run.", show_default=False)],
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Show a run of a background job. With --watch, exit code 1 when it failed."""
    connection = start(ctx, json_output=json_output).operator
    found = connection.unary(OperationsServiceStub(connection.channel).GetJobRun, GetJobRunRequest(run_id=run_id)).run
    if watch:
        found = to_the_end(connection, found)
    if json_output:
        print_json(found)
    else:
        print_run(found)
    if watch and found.state == JobRunState.JOB_RUN_STATE_FAILED:
        raise typer.Exit(ExitCode.REFUSED)


def info(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """Show what the server is and what it can reach."""
    session = start(ctx, json_output=json_output)
    connection = session.operator
    answer = connection.unary(OperationsServiceStub(connection.channel).GetServiceInfo, GetServiceInfoRequest())
    if json_output:
        print_json(answer)
        return
    facts = [
        ("address", session.address),
        ("version", answer.version),
        ("schema", answer.schema_revision),
        ("PostgreSQL", answer.database_version),
        ("queue", "reachable" if answer.queue_reachable else "NOT reachable"),
        ("since", when(answer.start_time)),
    ]
    print_facts("", facts)
