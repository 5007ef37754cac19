"""What every command shares: the session, the options that may stand anywhere, and the one place where failures end."""

import os
from typing import Annotated, TypeAlias

import typer
from typer.core import TyperGroup

from server.ctl.connection import Options, Session
from server.ctl.failures import CtlFailure
from server.ctl.render import print_failure

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
LimitOption: TypeAlias = Annotated[int, typer.Option(min=0, help="How many at most; 0 means all.")]

_ANYWHERE = ("--address", "--profile", "--token", "--ca", "--timeout")


class CtlGroup(TyperGroup):
    """The top of the program."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # a typer.Context is what is passed
        """Take the global options from wherever they stand on the line."""
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # a typer.Context is what is passed
        """Run the command; a failure is printed and becomes the exit code."""
        try:
            return super().invoke(ctx)
        except CtlFailure as failure:
            options = ctx.obj if isinstance(ctx.obj, Options) else Options()
            print_failure(failure, json_output=options.json_output)
            raise typer.Exit(int(failure.exit_code)) from None


def hoisted(args: list[str]) -> list[str]:
    """The same words with the global options first; what follows `--` stays where it is."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _ANYWHERE:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(tuple(f"{option}=" for option in _ANYWHERE)):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def start(ctx: typer.Context, *, json_output: bool = False) -> Session:
    """The session of a command; its channel is closed when the command ends."""
    options = ctx.find_root().obj
    if not isinstance(options, Options):
        msg = "a command runs below the root of the program"
        raise TypeError(msg)
    options.json_output = json_output
    session = Session(options, os.environ)
    ctx.call_on_close(session.close)
    return session
