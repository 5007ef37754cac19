"""`python -m server.embedded run` is `make run`; `... scratch -- COMMAND` runs a command beside throw-away databases."""

from __future__ import annotations

import argparse
import sys

from server.embedded.run import run
from server.embedded.scratch import run_beside_scratch


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m server.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="everything on this machine, until Ctrl-C")
    beside = commands.add_parser("scratch", help="a command beside fresh databases")
    beside.add_argument("words", nargs="+", metavar="COMMAND")
    parsed = parser.parse_args(arguments)
    try:
        return run() if parsed.command == "run" else run_beside_scratch(parsed.words)
    except KeyboardInterrupt:  # before the supervisor takes the signals over, or in the command beside
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
