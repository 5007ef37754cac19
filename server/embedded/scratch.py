"""A command beside a throw-away PostgreSQL and Valkey, for checks that need a database: `python -m server.embedded scratch -- COMMAND`."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from server.embedded import EmbeddedError
from server.embedded.account import scratch_folder
from server.embedded.environment import DATABASE, OWNER
from server.embedded.postgres import start_postgres
from server.embedded.valkey import start_valkey

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_beside_scratch(command: Sequence[str]) -> int:
    """Run `command` with ANALYTICS_* naming fresh databases that hold nothing yet; returns its exit code."""
    folder = scratch_folder()
    folder.chmod(0o711)
    try:
        postgres = start_postgres(folder / "postgres", fast=True)
        try:
            valkey = start_valkey(folder / "valkey")
            try:
                roles = ("APP", "DISPATCH", "TRAINER", "BENCHMARK", "RELAY")
                passwords = {f"ANALYTICS_DB_{role}_PASSWORD": secrets.token_urlsafe(16) for role in roles}
                environment = {
                    **os.environ,
                    **passwords,
                    "ANALYTICS_ADMIN_DATABASE_URL": postgres.admin_url,
                    "ANALYTICS_DATABASE_URL": postgres.url(OWNER, secrets.token_urlsafe(16), DATABASE),
                    "ANALYTICS_REDIS_URL": valkey.url,
                }
                return subprocess.run(list(command), env=environment, check=False).returncode
            finally:
                valkey.stop()
        finally:
            postgres.stop()
    except (EmbeddedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
