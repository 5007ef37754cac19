"""The program `analyticsctl`: its global options and its list of commands."""

from typing import Annotated

import typer

from server.ctl import (
    benchmarks,
    demo,
    events,
    facts,
    import_facts,
    insights,
    jobs,
    login,
    models,
    predict,
    queue,
    runs,
    schedule,
    tenant,
    train,
)
from server.ctl.connection import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Options
from server.ctl.program import CtlGroup
from server.ctl.report import commands as report

_HELP = f"""Client of the analytics service.

Tenant commands use the stored token of profile `tenant`, commands about the platform (train, run, runs, schedule, info, queue)
that of profile `operator`. Global options may stand anywhere on the line.

Configuration: the file $ANALYTICSCTL_CONFIG, else $ANALYTICS_DATA_DIR/analyticsctl.json (.data by default), else
~/.config/analyticsctl/config.json; the address is {DEFAULT_ADDRESS} when nothing else is said.

Exit codes: 0 done; 1 refused or failed on the server; 2 wrong usage or a bad input file; 3 the server cannot be reached;
130 stopped by Ctrl-C (what was asked for goes on).
"""

app = typer.Typer(
    cls=CtlGroup, help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)


@app.callback()
def root(  # noqa: PLR0913 - one argument per global option
    ctx: typer.Context,
    *,
    address: Annotated[str, typer.Option(envvar="ANALYTICSCTL_ADDRESS", help="host:port of the server.")] = "",
    profile: Annotated[str, typer.Option(envvar="ANALYTICSCTL_PROFILE", help="Name of the stored token to use.")] = "",
    token: Annotated[str, typer.Option(envvar="ANALYTICSCTL_TOKEN", help="Token to use instead of a stored one.", show_envvar=True)] = "",
    ca: Annotated[
        str, typer.Option(envvar="ANALYTICSCTL_CA", help="PEM file of the server's certificate authority, or `system`; turns TLS on.")
    ] = "",
    timeout: Annotated[
        float, typer.Option(envvar="ANALYTICSCTL_TIMEOUT", min=0.1, max=600, help="Deadline of a call in seconds.")
    ] = DEFAULT_TIMEOUT,
) -> None:
    """Keep the global options for the command."""
    ctx.obj = Options(address, profile, token, ca, timeout)


app.add_typer(import_facts.app, name="import")
app.command("train")(train.train)
app.command("benchmarks")(benchmarks.benchmarks)
app.command("models")(models.models)
app.command("predict")(predict.predict)
app.command("jobs")(jobs.jobs)
app.command("job")(jobs.job)
app.command("cancel")(jobs.cancel)
app.command("watch")(jobs.watch)
app.command("runs")(runs.runs)
app.command("run")(runs.run)
app.add_typer(schedule.app, name="schedule")
app.command("info")(runs.info)
app.command("queue")(queue.queue)
app.add_typer(insights.app, name="insights")
app.add_typer(report.app, name="report")
app.add_typer(facts.app, name="facts")
app.add_typer(tenant.profile_app, name="profile")
app.add_typer(tenant.switches_app, name="switches")
app.add_typer(events.app, name="events")
app.command("audit")(tenant.audit)
app.command("login")(login.login)
app.command("demo")(demo.demo)
