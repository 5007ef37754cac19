"""`analyticsctl report`: pages and pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from analytics.v1.models_pb2 import ModelState, ModelType

from server.ctl.models import list_models
from server.ctl.paging import enum_filter
from server.ctl.program import JsonOption, start
from server.ctl.render import note, print_json
from server.ctl.report import of_model, versions
from server.ctl.report.saving import checked, save

if TYPE_CHECKING:
    from server.ctl.report.model import Report

app = typer.Typer(no_args_is_help=True, help="One page that stands alone, and a picture beside it, of models, benchmarks and insights.")

OutOption: TypeAlias = Annotated[
    Path,
    typer.Option("--out", metavar="FILE.html", help="Where to write the page; the picture goes beside it as FILE.png.", show_default=False),
]


@app.command()
def model(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example 1.2.0, or `active`, or the id.", show_default=False)],
    out: OutOption,
    *,
    type_: Annotated[str, typer.Option("--type", help="Of this model type, for example turnover.")] = "",
    json_output: JsonOption = False,
) -> None:
    """Show how good a model version is, and how it compares with the one before. Roles: admin, owner."""
    session = start(ctx, json_output=json_output)
    checked(out)
    kind = ModelType.ValueType(enum_filter(ModelType.DESCRIPTOR, "--type", type_))
    models = list_models(session.tenant, kind, ModelState.MODEL_STATE_UNSPECIFIED, 0)
    found = versions.compared(session.tenant, models, versions.chosen(models, version))
    _finish(of_model.report(found, datetime.now(UTC), session.tenant.address), out, of_model.rows(found), json_output=json_output)


def _finish(report: Report, out: Path, rows: int, *, json_output: bool) -> None:
    picture = save(report, out)
    if json_output:
        print_json({"title": report.title, "page": str(out), "picture": str(picture), "rows": rows})
    else:
        note(f"{report.title}: {out} and {picture}")
