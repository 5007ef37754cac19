"""`analyticsctl import`: a CSV file -> checked rows -> facts of the caller's organization; one command per fact set, one way."""

import datetime
from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import IO, Annotated, TypeAlias

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from server.ctl.connection import Connection
from server.ctl.csv_rows import Problem, Row, opened
from server.ctl.fact_files import FACT_FILES, FactFile
from server.ctl.fact_rows import Checked, check
from server.ctl.failures import ExitCode, Refused
from server.ctl.import_report import Report, print_plan, print_report, report_dict
from server.ctl.ingest import Outcome, send
from server.ctl.mapping import plan
from server.ctl.program import JsonOption, start
from server.ctl.render import console, note, print_json

_ROWS_BETWEEN_UPDATES = 500

Map: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Fill a field from a column; FIELD=COLUMN:a=b,c=d also translates texts."),
]
Set: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="The same value in every row, for example as_of=2026-01-31.")
]
Ignore: TypeAlias = Annotated[list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="Leave a column out though its name fits.")]


app = typer.Typer(no_args_is_help=True, help="Load facts from files.")

_HELP = """
Columns whose names fit a field are mapped by themselves (MonthlyIncome fills monthly_income); --map says the rest. Every
row is checked before anything is sent. With a bad row nothing is sent and the exit code is 2, unless --skip-bad-rows.
Empty cells are unknown values, and so are NA and null but in a free text. A row that is sent again changes nothing.
"""


def _command(kind: FactFile) -> Callable[..., None]:
    """The command of one kind of file; their options are the same."""

    def load(  # noqa: PLR0913 - one argument per option
        ctx: typer.Context,
        file: Annotated[Path, typer.Argument(help="CSV file, also .csv.gz; - reads standard input.", show_default=False)],
        *,
        map_: Map = None,
        set_: Set = None,
        ignore: Ignore = None,
        delimiter: Annotated[str, typer.Option(help="Character between cells; found out from the header by default.")] = "",
        encoding: Annotated[str, typer.Option(help="Encoding of the file.")] = "utf-8",
        skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Send the good rows although others are bad.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check; needs no server.")] = False,
        json_output: JsonOption = False,
    ) -> None:
        session = start(ctx, json_output=json_output)
        # Asked for before the file is read, so that a missing token is told at once.
        connection = None if dry_run else session.tenant
        today = datetime.datetime.now(tz=datetime.UTC).date()
        with opened(file, delimiter=delimiter, encoding=encoding) as (table, raw, size):
            how = plan(kind, table.header, maps=map_ or (), constants=set_ or (), ignore=ignore or (), today=today)
            if not json_output:
                print_plan(how)
            checked = check(_reading(table.rows(), raw, size), how)
        refused = checked.valid_rows == 0 or (checked.bad_rows > 0 and not skip_bad_rows)
        outcome = None if refused or connection is None else _sending(connection, checked)
        report = Report(str(file), how, checked, outcome, dry_run=dry_run)
        if json_output:
            print_json(report_dict(report))
        else:
            print_report(report)
        if refused:
            raise typer.Exit(ExitCode.BAD_INPUT)
        if outcome is not None and outcome.bad_rows:
            raise typer.Exit(ExitCode.REFUSED)

    return load


for _kind in FACT_FILES.values():
    _about, _example = cleandoc(_kind.help).split("\n\nExample:")
    app.command(_kind.command, help=f"{_about}\n{_HELP}\nExample:{_example}")(_command(_kind))


def _reading(rows: Iterator[Row | Problem], raw: IO[bytes], size: int) -> Iterator[Row | Problem]:
    terminal = console(stderr=True)
    # `tell` of a pipe fails, so a file of unknown size gets no bar.
    if not terminal.is_terminal or not size:
        yield from rows
        return
    bar = Progress(TextColumn("checking"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=terminal, transient=True)
    with bar:
        task = bar.add_task("", total=size)
        for number, row in enumerate(rows):
            if number % _ROWS_BETWEEN_UPDATES == 0:
                bar.update(task, completed=raw.tell())
            yield row


def _sending(connection: Connection, checked: Checked) -> Outcome:
    terminal = console(stderr=True)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
    try:
        with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
            task = bar.add_task("", total=checked.valid_rows)
            return send(connection, checked.batches, lambda rows: bar.update(task, advance=rows))
    except Refused:
        if len(checked.batches) > 1:
            note("Some batches may be written. Run the same command again: rows that are there already are not touched.")
        raise
