"""`python -m workers`: settings -> app -> work -> drain."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from server import app as composition
from server import settings as settings_module
from server.db.preflight import SchemaOutdated, check_schema
from server.lifecycle import announce_ready, end, termination
from server.settings import SettingsInvalid
from server.telemetry import logs, metrics, tracing
from workers.predictions import PredictionWorker
from workers.runs import RunWorker
from workers.runtime import PredictionRuntime
from workers.schedule import follow_calendar
from workers.scorers import Scorers

_SWITCH_SECONDS = 0.001


async def work(settings: settings_module.Settings) -> None:
    """Work until SIGTERM or SIGINT, then hand on what does not finish in time."""
    stop = termination()
    logs.watch_loop(asyncio.get_running_loop())
    async with composition.running(settings) as app:
        await check_schema(app.db, embedded=settings.embedded)
        page = metrics.serve(settings.worker_metrics_port, settings.grpc_host)
        runtime = PredictionRuntime(PredictionWorker(app, Scorers(app.db)))
        dispatching = asyncio.create_task(app.dispatcher.run(), name="dispatcher")
        tasks = [
            asyncio.create_task(runtime.run(), name="predictions"),
            asyncio.create_task(RunWorker(app).run(), name="runs"),
            asyncio.create_task(follow_calendar(app), name="schedule"),
            asyncio.create_task(app.relay.run(), name="relay"),
        ]
        announce_ready(page.port)
        await stop.wait()
        # First, so that what others will run is not started here any more.
        await end(dispatching)
        await runtime.drain(settings.drain_seconds)
        await end(*tasks)
        page.close()


def main() -> int:
    """Start; returns the exit code."""
    try:
        settings = settings_module.load()
        settings_module.require(settings, *composition.REQUIRED_SETTINGS)
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # While a thread computes, the loop gets its turn after a fifth of the usual time: leases and other organizations wait for it.
    sys.setswitchinterval(_SWITCH_SECONDS)
    logs.configure("worker", settings.log_level)
    tracing.start("analytics-worker", settings.otlp_endpoint)
    try:
        uvloop.run(work(settings))
    except (SchemaOutdated, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        tracing.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
