"""`python -m server`: settings -> App -> serve -> drain."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from server import app as composition
from server import settings as settings_module
from server.rpc.keys import open_keys
from server.rpc.server import serve
from server.rpc.services import services
from server.settings import SettingsInvalid
from server.telemetry import logs, metrics, tracing
from server.telemetry.lifecycle import announce_ready, termination


async def run(settings: settings_module.Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stop = termination()
    async with composition.running(settings) as app:
        metrics.serve(settings.grpc_host, settings.metrics_port)
        server = await serve(settings, services(app))
        announce_ready(server.port)
        await stop.wait()
        await server.drain(settings.drain_seconds)


def main() -> int:
    """Start; returns the exit code."""
    try:
        settings = settings_module.load()
        settings_module.require(settings, *composition.REQUIRED_SETTINGS, "jwt_keys")
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(settings.log_level)
    tracing.configure(settings, "analytics-server")
    uvloop.run(run(settings))
    tracing.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
