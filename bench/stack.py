"""What is measured: PostgreSQL and Valkey that flush to disk, the server and the worker as processes of their own."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import asyncpg

from server.db import migrate
from server.db.bootstrap import bootstrap
from server.db.engines import async_url
from server.embedded.account import scratch_folder
from server.embedded.child import spawn
from server.embedded.postgres import Postgres, start_postgres
from server.embedded.valkey import Valkey, start_valkey
from server.settings import Settings, load
from tests.support import credentials, environment
from tests.support.databases import OWNER, PASSWORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from server.embedded.child import Child

DATABASE = "analytics"
READY_SECONDS = 60.0
DRAIN_SECONDS = 30.0

CONCURRENCY = 32
"""Jobs at once of one worker process, ours and the bare one."""

LIFTED: Mapping[str, object] = {
    "predictions_per_org": 0,
    "prediction_starts_per_minute": 0,
    "prediction_backlog_per_org": 1_000_000,
    "prediction_backlog_in_all": 1_000_000,
    "worker_concurrency": CONCURRENCY,
    "tenant_requests_per_second": 1e9,
    "tenant_request_burst": 1_000_000_000,
    "tenant_concurrent_calls": 2_000,
}
"""The limits that are lifted where throughput is measured; everything else stays as it is shipped."""


@dataclass(frozen=True, slots=True)
class Databases:
    """The running databases and the folder that everything of the run lies in."""

    postgres: Postgres
    valkey: Valkey
    folder: Path
    metrics_port: int

    def settings(self, database: str = DATABASE) -> Settings:
        """Return the settings of server and worker: as shipped, but for `LIFTED` and free ports."""
        return load(
            grpc_port=0,
            metrics_port=self.metrics_port,
            worker_metrics_port=0,
            database_url=self.postgres.url(OWNER, "owner-password", database),
            redis_url=self.valkey.url,
            secret_key=environment.SECRET_KEY,
            jwt_keys=str(self.folder / "jwks.json"),
            embedded=True,
            **{f"db_{role.value}_password": password for role, password in PASSWORDS.items()},
            **LIFTED,
        )

    @property
    def admin_url(self) -> str:
        """The superuser's address of the service's database, for counting beside the measured processes."""
        return self.postgres.admin_url.replace("/postgres?", f"/{DATABASE}?")

    async def prepare(self, database: str = DATABASE) -> None:
        """Make the roles and a migrated database."""
        owner = async_url(self.postgres.url(OWNER, "owner-password", database))
        await bootstrap(self.postgres.admin_url, owner, PASSWORDS)
        await migrate.migrate(owner)

    async def drop(self, database: str) -> None:
        """Remove a database."""
        admin = await asyncpg.connect(self.postgres.admin_url)
        try:
            await admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
        finally:
            await admin.close()


@dataclass(frozen=True, slots=True)
class Process:
    """A started process that said on which port it listens."""

    child: Child
    port: int

    @property
    def resident_bytes(self) -> int:
        """Memory of the process that is in RAM, as Linux counts it."""
        return self._bytes("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most that it ever had in RAM."""
        return self._bytes("VmHWM")

    def _bytes(self, name: str) -> int:
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as lines:  # noqa: PTH123 - no path of ours
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


@contextmanager
def databases() -> Iterator[Databases]:
    """Start PostgreSQL and Valkey with the settings of `make run`; the folder is removed at the end."""
    folder = scratch_folder()
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = start_postgres(folder / "postgres")
        stack.callback(postgres.stop)
        valkey = start_valkey(folder / "valkey")
        stack.callback(valkey.stop)
        credentials.write_jwks(folder)
        yield Databases(postgres, valkey, folder, _free_port())


@contextmanager
def process(made: Databases, module: str, more: Mapping[str, str] = MappingProxyType({})) -> Iterator[Process]:
    """Run `python -m <module>` with the settings of the run, and `more` variables, until the end of the block."""
    ready, said = os.pipe()
    child = spawn(
        module,
        [sys.executable, "-m", module],
        log=made.folder / f"{module}.log",
        environment={**os.environ, **variables(made.settings()), **more, "ANALYTICS_READY_FD": str(said)},
        pass_fds=[said],
    )
    os.close(said)
    try:
        yield Process(child, _port(child, ready))
    finally:
        os.close(ready)
        child.end((signal.SIGTERM, DRAIN_SECONDS))


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment that makes these settings."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    plain = {name: getattr(value, "get_secret_value", lambda value=value: value)() for name, value in values.items()}
    return {f"ANALYTICS_{name.upper()}": str(value) for name, value in plain.items()}


def _port(child: Child, ready: int) -> int:
    answered, _, _ = select.select([ready], [], [], READY_SECONDS)
    words = os.read(ready, 100).split() if answered else []
    if len(words) < 2 or words[0] != b"ready":  # noqa: PLR2004 - `ready <port>`
        message = f"{child.name} did not start\n{child.tail()}"
        raise SystemExit(message)
    return int(words[1])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
