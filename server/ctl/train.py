"""`analyticsctl train`."""

from typing import Annotated

import typer
from analytics.admin.v1.operations_service_pb2 import JobRunState

from server.ctl.failures import ExitCode
from server.ctl.program import JsonOption, start
from server.ctl.render import note, print_json
from server.ctl.show import print_run, run_name
from server.ctl.training import begin, model_type, to_the_end


def train(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL_TYPE", help="For example turnover_prediction, or turnover.", show_default=False)],
    *,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Only start it.")] = False,
    attach: Annotated[bool, typer.Option("--attach", help="Follow the training that is under way, if there is one.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Train a shared model on the rows of all consenting organizations and show how good it is.

    Uses the operator's token. Exit code 1 when the training failed.
    """
    session = start(ctx, json_output=json_output)
    run = begin(session.operator, model_type(model), attach=attach)
    if not json_output:
        note(f"{run_name(run)}: run {run.id}")
    if not no_wait:
        run = to_the_end(session.operator, run)
    if json_output:
        print_json(run)
    else:
        print_run(run)
    if run.state == JobRunState.JOB_RUN_STATE_FAILED:
        raise typer.Exit(ExitCode.REFUSED)
