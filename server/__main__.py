"""`python -m server`: settings -> App -> serve -> drain."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from server import app as composition
from server import settings as settings_module
from server.db.preflight import SchemaOutdated, check_schema
from server.lifecycle import announce_ready, termination
from server.rpc.keys import KeysUnreadable
from server.rpc.server import serve, verifier_of
from server.rpc.services import services
from server.settings import SettingsInvalid
from server.telemetry import logs, metrics, tracing


async def run(settings: settings_module.Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stop = termination()
    logs.watch_loop(asyncio.get_running_loop())
    async with composition.running(settings) as app:
        await check_schema(app.db, embedded=settings.embedded)
        page = metrics.serve(settings.metrics_port, settings.grpc_host)
        server = await serve(settings, services(app), verifier=await verifier_of(settings))
        announce_ready(server.port)
        await stop.wait()
        await server.drain(settings.drain_seconds)
        page.close()


def main() -> int:
    """Start; returns the exit code."""
    try:
        settings = settings_module.load()
        settings_module.require(settings, *composition.REQUIRED_SETTINGS, "jwt_keys")
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure("server", settings.log_level)
    tracing.start("analytics-server", settings.otlp_endpoint)
    try:
        uvloop.run(run(settings))
    except (SchemaOutdated, KeysUnreadable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        tracing.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
