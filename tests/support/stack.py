"""The whole service as processes of their own, to be killed: PostgreSQL, Valkey, servers and workers.

A keeper process starts them, so that nothing here blocks the loop: callers go on while something restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc
from analytics.v1 import analytics_service_pb2_grpc
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from pydantic import SecretStr

from server import app as composition
from server.embedded.account import scratch_folder
from server.embedded.postgres import Postgres
from server.embedded.valkey import Valkey
from tests.support import credentials, databases, environment, live, trained
from tests.support.asking import typed
from tests.support.databases import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.embedded.child import Child
    from server.settings import Settings

_PORTS = range(20_000, 32_000)
ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 90.0
# A client that waits for a server to come back looks often.
_CHANNEL = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))


@dataclass
class Process:
    """A server or a worker."""

    pid: int
    log: Path
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None

    async def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; returns the exit code, minus the signal that ended it."""
        async with asyncio.timeout(seconds):
            await self.gone.wait()
        assert self.code is not None
        return self.code

    async def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)
        await self.ended()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        if not self.gone.is_set():
            os.kill(self.pid, number)

    def stands_still(self) -> bool:
        """Whether it was stopped by SIGSTOP."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def said(self) -> str:
        """Everything that it logged."""
        return self.log.read_text(errors="replace")


class _Keeper:
    """The other end of `tests.support.keeper`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Talk to a running keeper."""
        self._process = process
        self._answers: dict[int, asyncio.Future[dict[str, str]]] = {}
        self._orders = 0
        self.processes: dict[int, Process] = {}
        self._hearing = asyncio.create_task(self._hear())

    async def do(self, what: str, **order: str) -> dict[str, str]:
        """Have something done; returns what the keeper says of it."""
        assert self._process.stdin is not None
        self._orders += 1
        answer = self._answers[self._orders] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": self._orders, "do": what, **order}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            told: dict[str, str] = await answer
        assert "failed" not in told, told["failed"]
        return told

    async def end(self) -> None:
        """Have everything ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._process.wait()
        await self._hearing

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "id" in told:
                # Before the answer is read, what follows may tell of the process that it names.
                if "pid" in told:
                    self.processes[told["pid"]] = Process(told["pid"], Path())
                self._answers.pop(told["id"]).set_result(told)
            elif "ready" in told:
                self.processes[told["ready"]].ready.set()
            else:
                process = self.processes[told["ended"]]
                process.code = told["code"]
                process.gone.set()
                process.ready.set()


@dataclass
class Stack:
    """Databases, and what runs on them."""

    folder: Path
    cluster: Cluster
    database: str
    settings: Settings
    channel: grpc.aio.Channel
    _keeper: _Keeper

    @property
    def analytics(self) -> analytics_service_pb2_grpc.AnalyticsServiceAsyncStub:
        """Stub of AnalyticsService; its channel stays the same over all restarts of the server."""
        return analytics_service_pb2_grpc.AnalyticsServiceStub(self.channel)

    async def ask(self, org: str, seed: int) -> pb.RequestPredictionResponse:
        """Ask for a prediction."""
        return await self.analytics.RequestPrediction(typed(seed), metadata=live.bearer(org), wait_for_ready=True)

    async def ended(self, org: str, job_id: str) -> pb.PredictionJob:
        """Return a job once it ended; at most 30 s."""
        request = pb.GetPredictionJobRequest(job_id=job_id, wait=Duration(seconds=30))
        job = (await self.analytics.GetPredictionJob(request, metadata=live.bearer(org), timeout=35)).job
        assert job.HasField("complete_time"), job
        return job

    async def server(self, **extra: str) -> Process:
        """Start a server; `extra` goes into its environment."""
        return await self._start("server", ["-m", "server"], extra)

    async def worker(self, *program: str, **extra: str) -> Process:
        """Start a worker, or another program in its place."""
        return await self._start("worker", list(program) or ["-m", "workers"], extra)

    async def kill_postgres(self) -> None:
        """SIGKILL to PostgreSQL."""
        await self._keeper.do("kill_postgres")

    async def stop_postgres(self) -> None:
        """Shut PostgreSQL down in order."""
        await self._keeper.do("stop_postgres")

    async def start_postgres(self) -> None:
        """Start PostgreSQL again."""
        await self._keeper.do("start_postgres")

    async def kill_valkey(self) -> None:
        """SIGKILL to Valkey."""
        await self._keeper.do("kill_valkey")

    async def start_valkey(self) -> None:
        """Start Valkey again."""
        await self._keeper.do("start_valkey")

    async def end_services(self) -> None:
        """Kill what is left of servers and workers."""
        for process in self._keeper.processes.values():
            process.send(signal.SIGKILL)
            await process.ended()

    async def _start(self, name: str, command: Sequence[str], extra: dict[str, str]) -> Process:
        """Start a Python process and wait until it says that it is ready, or ends before."""
        log = self.folder / "logs" / f"{name}-{len(self._keeper.processes)}.log"
        scratch = str(self.folder / "temporary")
        variables = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": environment.AS_INSTALLED,
            "TMPDIR": scratch,
            "HOME": scratch,
            **_variables(self.settings),
            "ANALYTICS_TESTING": "1",
            **extra,
        }
        told = await self._keeper.do(
            "start", name=name, command=json.dumps(list(command)), environment=json.dumps(variables), log=str(log), folder=scratch
        )
        process = self._keeper.processes[int(told["pid"])]
        process.log = log
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.ready.wait()
        # One that a fail point killed before it was ready is what somebody wanted.
        assert not process.gone.is_set() or process.code == -signal.SIGKILL, process.said()[-4000:]
        return process


@asynccontextmanager
async def stack(**overrides: object) -> AsyncIterator[Stack]:
    """Start databases with a migrated schema and an active model, and nothing that works on them yet."""
    folder = scratch_folder("chaos-")
    folder.chmod(0o711)
    for name in ("logs", "temporary"):
        (folder / name).mkdir()
    command = [sys.executable, "-m", "tests.support.keeper", str(folder)]
    variables = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": environment.AS_INSTALLED}
    keeper = _Keeper(
        await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=variables, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
    )
    try:
        postgres, valkey = await keeper.do("start_postgres"), await keeper.do("start_valkey")
        # Started elsewhere: here they only know their addresses.
        elsewhere = cast("Child", None)
        cluster = Cluster(
            Postgres(elsewhere, Path(postgres["sockets"]), postgres["password"], folder / "pg" / "data"),
            Valkey(elsewhere, Path(valkey["socket"]), folder / "vk"),
        )
        await databases._prepare(cluster)
        database = await cluster.create_database()
        defaults: dict[str, object] = {
            "grpc_port": _free_port(),
            "jwt_keys": str(credentials.write_jwks(folder)),
            "prediction_starts_per_minute": 0,
            "prediction_lease_seconds": LEASE_SECONDS,
            "prediction_attempts": 10,
            "log_level": "debug",
        }
        settings = environment.settings(cluster, database, **{**defaults, **overrides})
        app = composition.make(settings)
        await trained.activate_model(app)
        await app.db.close()
        await app.valkey.close()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.grpc_port}", options=_CHANNEL) as channel:
            yield Stack(folder, cluster, database, settings, channel, keeper)
    finally:
        await keeper.end()
        shutil.rmtree(folder, ignore_errors=True)


def _variables(settings: Settings) -> dict[str, str]:
    """All settings as a process reads them."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    texts = {name: value.get_secret_value() if isinstance(value, SecretStr) else str(value) for name, value in values.items()}
    return {f"ANALYTICS_{name.upper()}": text for name, text in texts.items()}


def _free_port() -> int:
    """A port that nobody is given who asks for any, so that it is still free when a server starts on it again."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
