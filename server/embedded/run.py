"""One `make run` from beginning to end: checks, databases, set-up, service, demo data, and what to type next."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded import EmbeddedError
from server.embedded.account import server_account, write_private
from server.embedded.child import Child, spawn
from server.embedded.credentials import Passwords, SigningKey, load_passwords, load_signing_key, mint_token
from server.embedded.environment import Environment, build_environment
from server.embedded.guide import lines_to_paste
from server.embedded.postgres import Postgres, start_postgres
from server.embedded.preflight import DataFolder, check_ports, check_python, databases_home, open_data_folder
from server.embedded.supervisor import StopRequested, Supervisor
from server.embedded.valkey import Valkey, start_valkey
from server.identity import Role
from server.settings import Settings, SettingsInvalid, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DEMO_ORG = "demo-northwind"
DEMO_USER = "demo-analyst"
SETUP_SECONDS = 120.0
READY_SECONDS = 60.0
DEMO_SECONDS = 170.0
_LOG_BYTES = 10 * 1024 * 1024

EXIT_STOPPED, EXIT_FAILED, EXIT_REFUSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Run:
    """What every step of a run needs."""

    settings: Settings
    data: DataFolder
    passwords: Passwords
    key: SigningKey
    supervisor: Supervisor
    say: Callable[[str], None]


def run() -> int:
    """Run until asked to stop; returns the exit code: 0 stopped as asked, 1 something failed, 2 nothing was started."""
    began = time.monotonic()

    def say(text: str) -> None:
        _show(f"{time.monotonic() - began:6.1f} s  {text}")

    try:
        check_python()
        settings = load()
        data = open_data_folder(settings.data_dir, server_account(), say)
        check_ports(settings)
        passwords, key = load_passwords(data.secrets), load_signing_key(data.secrets)
    except (EmbeddedError, SettingsInvalid, OSError) as error:
        _complain(error)
        return EXIT_REFUSED
    code = EXIT_STOPPED
    with data.lock, Supervisor(drain_seconds=settings.drain_seconds, say=say) as supervisor:
        try:
            _start(_Run(settings, data, passwords, key, supervisor, say), began)
            supervisor.watch()
        except StopRequested as reason:
            say(f"stopping ({reason})")
        except (EmbeddedError, OSError) as error:
            _complain(error)
            code = EXIT_FAILED
    say("stopped")
    return code


def _start(run: _Run, began: float) -> None:
    databases = None if run.settings.database_url else _start_databases(run)
    environment = build_environment(run.data, run.passwords, run.key, databases)
    admin = {"ANALYTICS_ADMIN_DATABASE_URL": environment.admin_url} if environment.admin_url else {}
    log = _log_file(run.data.logs, "database-set-up")
    _finish(run, "database set-up", ["server.db", "setup"], {**environment.variables, **admin}, log, SETUP_SECONDS)
    run.say("roles, database and migrations are in place")
    port = _start_services(run, environment)
    address = f"{_callable_host(run.settings.grpc_host)}:{port}"
    token = _write_client_file(run, address)
    if token:
        _load_demo(run, environment)
    _announce(run, address, token, time.monotonic() - began)


def _start_databases(run: _Run) -> tuple[Postgres, Valkey]:
    home = databases_home(run.data.path, run.passwords.place, server_account())
    if home != run.data.path:
        run.say(f"databases live in {home}: under root they run as user nobody, which cannot reach {run.data.path}")
    logs = run.data.logs
    postgres = start_postgres(home / "postgres", log=_log_file(logs, "postgres"))
    run.supervisor.add_database(postgres)
    valkey = start_valkey(home / "valkey", log=_log_file(logs, "valkey"))
    run.supervisor.add_database(valkey)
    run.say(f"PostgreSQL (process {postgres.pid}) and Valkey (process {valkey.pid}) run")
    run.supervisor.pump(0)
    return postgres, valkey


def _start_services(run: _Run, environment: Environment) -> int:
    """Start server and worker side by side; returns the port that the server listens on."""
    server, server_ready = _service(run, "server", environment)
    worker, worker_ready = _service(run, "workers", environment)
    words = run.supervisor.read_line(server, server_ready, READY_SECONDS).split()
    run.supervisor.read_line(worker, worker_ready, READY_SECONDS)
    run.say(f"server (process {server.pid}) and worker (process {worker.pid}) are ready")
    return int(words[1]) if len(words) > 1 else run.settings.grpc_port


def _service(run: _Run, module: str, environment: Environment) -> tuple[Child, int]:
    """Start `python -m <module>` and return it with the pipe on which it says `ready`."""
    ready, said = os.pipe()
    child = spawn(
        {"server": "the server", "workers": "the worker"}[module],
        [sys.executable, "-m", module],
        log=_log_file(run.data.logs, module),
        environment={**environment.variables, "ANALYTICS_READY_FD": str(said)},
        when_parent_dies=signal.SIGKILL,  # its databases end too; a drain would only hold the port
        pass_fds=[said],
    )
    os.close(said)
    run.supervisor.add_service(child)
    return child, ready


def _finish(  # noqa: PLR0913 - a command has that many properties
    run: _Run, name: str, arguments: list[str], variables: Mapping[str, str], log: Path | None, seconds: float
) -> None:
    """Run a one-time `python -m ...` to its end; without a log it speaks to the terminal."""
    run.supervisor.finish(spawn(name, [sys.executable, "-m", *arguments], log=log, environment=variables), seconds)


def _write_client_file(run: _Run, address: str) -> str:
    """Write what `analyticsctl` reads; returns the tenant's token, empty when credentials come from elsewhere.

    Profiles that a user stored beside ours stay.
    """
    if run.settings.jwt_keys:
        run.say("ANALYTICS_JWT_KEYS is set: tokens come from its issuer, none is made here, and no demo data is loaded")
        return ""
    issuer, audience = run.settings.jwt_issuer, run.settings.jwt_audience
    tenant = mint_token(
        run.key,
        issuer=issuer,
        audience=audience,
        subject=DEMO_USER,
        org_id=DEMO_ORG,
        roles=[Role.OWNER, Role.ADMIN, Role.ANALYST, Role.VIEWER],
    )
    operator = mint_token(run.key, issuer=issuer, audience=audience, subject="demo-operator", org_id=None, roles=[Role.OPERATOR])
    path = run.data.path / "analyticsctl.json"
    stored: dict[str, str] = {}
    with suppress(OSError, ValueError, AttributeError):
        stored = dict(json.loads(path.read_text()).get("tokens", {}))
    content = {"address": address, "ca": run.settings.tls_certificate, "tokens": {**stored, "tenant": tenant, "operator": operator}}
    write_private(path, json.dumps(content, indent=2) + "\n")
    return tenant


def _load_demo(run: _Run, environment: Environment) -> None:
    arguments = ["server.ctl", "demo", "--key-file", str(run.key.private_file), "--kid", run.key.kid]
    arguments += ["--issuer", run.settings.jwt_issuer, "--audience", run.settings.jwt_audience]
    arguments += ["--organizations", str(run.settings.demo_organizations)]
    _finish(run, "loading demo data", arguments, environment.variables, None, DEMO_SECONDS)
    run.say("demo tenants, four models, insights and benchmarks are in place")


def _announce(run: _Run, address: str, token: str, seconds: float) -> None:
    _show(f"ready after {seconds:.1f} s: gRPC on {address}, data in {run.data.path}, logs in {run.data.logs}; Ctrl-C stops everything")
    if token:
        _show(f"\n# A token of {DEMO_USER} in {DEMO_ORG} (12 h) and calls to paste into another shell:")
        _show("\n".join(lines_to_paste(address, token, run.settings.tls_certificate)))


def _log_file(logs: Path, name: str) -> Path:
    """Path of a log; what is there is put aside when it has grown large."""
    path = logs / f"{name}.log"
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    return path


def _callable_host(host: str) -> str:
    """Where a client on this machine finds a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - translated away, not bound
    return f"[{host}]" if ":" in host else host


def _show(text: str) -> None:
    with suppress(OSError):  # a closed terminal or pipe is no reason to leave the children alone
        print(text, flush=True)


def _complain(error: Exception) -> None:
    with suppress(OSError):
        print(f"make run: {error}", file=sys.stderr, flush=True)
