"""`analyticsctl facts`: what the organization has stored, and erasing it."""

import sys
import uuid
from collections.abc import Mapping
from typing import Annotated

import typer
from analytics.v1.fact_service_pb2 import DeleteFactsRequest, FactSet, ListFactSetsRequest
from analytics.v1.fact_service_pb2_grpc import FactServiceStub

from server.ctl.fact_files import FACT_FILES
from server.ctl.failures import BadInput
from server.ctl.program import JsonOption, start
from server.ctl.render import print_json, print_table, say, when
from server.ctl.values import Unreadable, choice, named, shown

app = typer.Typer(help="What is stored, and erasing it.")


@app.callback(invoke_without_command=True)
def facts(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """Show what is stored: rows, subjects and known outcomes per fact set. `facts delete` erases."""
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


# Which option names which field of the request.
_SUBJECTS = {"employee": "employee_key", "contract": "contract_key", "counterparty": "counterparty_key", "unit": "unit"}


@app.command("delete")
def delete(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    *,
    set_: Annotated[
        str, typer.Option("--set", metavar="SET", help=f"Only of this fact set: {', '.join(FACT_FILES)}; every one by default.")
    ] = "",
    employee: Annotated[str, typer.Option("--employee", metavar="KEY", help="Erase all rows of this employee.")] = "",
    contract: Annotated[str, typer.Option("--contract", metavar="KEY", help="Erase this contract.")] = "",
    counterparty: Annotated[str, typer.Option("--counterparty", metavar="KEY", help="Erase all contracts with this other side.")] = "",
    unit: Annotated[str, typer.Option("--unit", metavar="UNIT", help="Erase all spend and budgets of this unit.")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="Erase every row of the fact set that --set names.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Erase stored facts for good: of one subject, everywhere or in one fact set, or a whole fact set. Roles: admin, owner."""
    session = start(ctx, json_output=json_output)
    keys = {"employee": employee, "contract": contract, "counterparty": counterparty, "unit": unit}
    request, what = _erasure(set_, {name: key for name, key in keys.items() if key}, everything=everything)
    if not yes:
        if not sys.stdin.isatty():
            msg = f"erasing {what} must be confirmed by --yes where nobody can be asked"
            raise BadInput(msg)
        typer.confirm(f"Erase {what} for good?", abort=True, err=True)
    answer = session.tenant.unary(FactServiceStub(session.tenant.channel).DeleteFacts, request)
    if json_output:
        print_json(answer)
    else:
        say(f"{answer.deleted} rows erased")


def _erasure(set_: str, subjects: Mapping[str, str], *, everything: bool) -> tuple[DeleteFactsRequest, str]:
    """The request, and what it erases in words."""
    if len(subjects) + everything != 1:
        msg = "give exactly one of --employee, --contract, --counterparty, --unit and --everything"
        raise BadInput(msg)
    request = DeleteFactsRequest(fact_set=_fact_set(set_), request_id=str(uuid.uuid4()))
    where = f"in {named(FactSet.DESCRIPTOR, request.fact_set)}" if set_ else "in every fact set"
    if everything:
        if not set_:
            msg = "--everything empties one fact set; say which one by --set"
            raise BadInput(msg, f"the fact sets are {', '.join(FACT_FILES)}")
        request.everything = True
        return request, f"ALL rows {where}"
    ((name, key),) = subjects.items()
    setattr(request, _SUBJECTS[name], key)
    return request, f"all rows of {name} {key} {where}"


def _fact_set(text: str) -> FactSet.ValueType:
    """The fact set that is called so by `import` or by the contract; unspecified for an empty text."""
    if not text:
        return FactSet.FACT_SET_UNSPECIFIED
    if text in FACT_FILES:
        return FACT_FILES[text].fact_set
    try:
        return FactSet.ValueType(choice(FactSet.DESCRIPTOR, text))
    except Unreadable:
        msg = f"--set {shown(text)} is no fact set"
        raise BadInput(msg, f"the fact sets are {', '.join(FACT_FILES)}") from None
