"""Fixtures of the command line tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from typer.testing import CliRunner

from server.ctl.main import app

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


class Ctl(Protocol):
    """Runs `analyticsctl` with the given words."""

    def __call__(self, *words: str, stdin: str | bytes | None = None, **environment: str) -> Result: ...


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The configuration file of the `ctl` fixture; not there at first."""
    return tmp_path / "config" / "analyticsctl.json"


@pytest.fixture
def ctl(config_file: Path) -> Ctl:
    """Run the program in this process, away from the configuration of whoever runs the tests."""

    def run(*words: str, stdin: str | bytes | None = None, **environment: str) -> Result:
        cleared = dict.fromkeys(("ADDRESS", "PROFILE", "TOKEN", "CA", "TIMEOUT"))
        variables = {f"ANALYTICSCTL_{name}": value for name, value in cleared.items()}
        return CliRunner().invoke(app, list(words), input=stdin, env={**variables, "ANALYTICSCTL_CONFIG": str(config_file), **environment})

    return run
