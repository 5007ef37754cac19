"""`analyticsctl facts`: what the organization has stored, and erasing it."""

import sys
import uuid
from typing import Annotated

import typer
from analytics.v1.fact_service_pb2 import DeleteFactsRequest, FactSet, ListFactSetsRequest
from analytics.v1.fact_service_pb2_grpc import FactServiceStub

from server.ctl.failures import BadInput
from server.ctl.program import JsonOption, start
from server.ctl.render import print_json, print_table, say, when
from server.ctl.show import named

app = typer.Typer(help="What is stored, and erasing it.")


@app.callback(invoke_without_command=True)
def facts(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """Show what is stored: rows, employees and known outcomes per fact set. `facts delete` erases."""
    if ctx.invoked_subcommand is not None:
        return
    connection = start(ctx, json_output=json_output).tenant
    answer = connection.unary(FactServiceStub(connection.channel).ListFactSets, ListFactSetsRequest())
    if json_output:
        print_json(answer)
        return
    rows = [
        (named(FactSet.DESCRIPTOR, item.fact_set), item.rows, item.subjects, item.labelled_rows, when(item.update_time))
        for item in answer.fact_sets
    ]
    print_table("", ["fact set", "rows #", "subjects #", "with outcome #", "changed"], rows)


@app.command("delete")
def delete(
    ctx: typer.Context,
    *,
    employee: Annotated[str, typer.Option("--employee", metavar="KEY", help="Erase all rows of this employee.")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="Erase all employees of the organization.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Erase stored employees for good: one of them, or all. Roles: admin, owner."""
    session = start(ctx, json_output=json_output)
    if bool(employee) == everything:
        msg = "give either --employee KEY or --everything"
        raise BadInput(msg)
    what = f"all rows of employee {employee}" if employee else "ALL employees of the organization"
    if not yes:
        if not sys.stdin.isatty():
            msg = f"erasing {what} must be confirmed by --yes where nobody can be asked"
            raise BadInput(msg)
        typer.confirm(f"Erase {what} for good?", abort=True, err=True)
    request = DeleteFactsRequest(fact_set=FactSet.FACT_SET_EMPLOYEES, request_id=str(uuid.uuid4()))
    if employee:
        request.employee_key = employee
    else:
        request.everything = True
    answer = session.tenant.unary(FactServiceStub(session.tenant.channel).DeleteFacts, request)
    if json_output:
        print_json(answer)
    else:
        say(f"{answer.deleted} rows erased")
