"""The Prometheus metrics of a process and the page that shows them.

Labels have few values: methods, codes, states, model types. An organization or a job is never one.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from server.telemetry import names

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
_WORK_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)

RPC_CALLS = Counter(names.RPC_CALLS, "Calls that ended, by method and status code.", ["method", "code"], registry=REGISTRY)
RPC_SECONDS = Histogram(
    names.RPC_SECONDS, "Time from the first byte to the status, by method.", ["method"], buckets=_CALL_SECONDS, registry=REGISTRY
)
RPC_IN_FLIGHT = Gauge(names.RPC_IN_FLIGHT, "Calls that are being answered.", registry=REGISTRY)
CREDENTIAL_KEY_REFRESHES = Counter(
    names.CREDENTIAL_KEY_REFRESHES,
    "Readings of the keys of credentials, by outcome (changed, same, failed).",
    ["outcome"],
    registry=REGISTRY,
)
PREDICTIONS_ACCEPTED = Counter(
    names.PREDICTIONS_ACCEPTED,
    "Accepted requests, by model type and whether a job existed.",
    ["model_type", "deduplicated"],
    registry=REGISTRY,
)
PREDICTIONS_STARTED = Counter(names.PREDICTIONS_STARTED, "Attempts handed to the workers.", registry=REGISTRY)
PREDICTIONS_ENDED = Counter(
    names.PREDICTIONS_ENDED, "Jobs that ended, by model type and state.", ["model_type", "state"], registry=REGISTRY
)
# The next four tell of the whole queue and not of this process: every process shows the same, so take the maximum, not the sum.
PREDICTIONS_WAITING = Gauge(
    names.PREDICTIONS_WAITING, "Waiting predictions of the whole queue, by when they may start (due, later).", ["when"], registry=REGISTRY
)
PREDICTIONS_RUNNING = Gauge(names.PREDICTIONS_RUNNING, "Running predictions of the whole queue.", registry=REGISTRY)
PREDICTION_STARTS_LAST_MINUTE = Gauge(
    names.PREDICTION_STARTS_LAST_MINUTE, "Starts of the whole queue in the last 60 s, retries included.", registry=REGISTRY
)
PREDICTION_OLDEST_WAIT_SECONDS = Gauge(
    names.PREDICTION_OLDEST_WAIT_SECONDS, "How long the prediction that is due for longest has been due; 0 when none is.", registry=REGISTRY
)
PREDICTION_RUN_SECONDS = Histogram(
    names.PREDICTION_RUN_SECONDS,
    "Time of scoring what ran together, by model type.",
    ["model_type"],
    buckets=_WORK_SECONDS,
    registry=REGISTRY,
)
JOB_RUNS_ENDED = Counter(names.JOB_RUNS_ENDED, "Runs that ended, by job and state.", ["job", "state"], registry=REGISTRY)
JOB_RUN_SECONDS = Histogram(names.JOB_RUN_SECONDS, "Time of a run, by job.", ["job"], buckets=_WORK_SECONDS, registry=REGISTRY)

SCHEDULE_TICKS = Counter(names.SCHEDULE_TICKS, "Ticks of the schedule that this process took, by job.", ["job"], registry=REGISTRY)
# Tells of the database and not of this process: take the maximum.
SCHEDULE_LATE_SECONDS = Gauge(
    names.SCHEDULE_LATE_SECONDS,
    "How long the latest tick of a job has been due without being taken; 0 when none is.",
    ["job"],
    registry=REGISTRY,
)
EVENTS_PUBLISHED = Counter(names.EVENTS_PUBLISHED, "Events that the relay of this process published, copies counted.", registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """The running HTTP endpoint."""

    port: int
    _server: WSGIServer
    _thread: Thread

    def close(self) -> None:
        """Stop serving and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(port: int, host: str = "127.0.0.1") -> MetricsPage:
    """Serve `/metrics` from a thread of its own; port 0 takes a free one.

    Raises:
        OSError: the port is taken; the text names it.

    """
    try:
        server, thread = start_http_server(port, host, registry=REGISTRY)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        message = f"port {port} on {host} is taken; set another port for the metrics"
        raise OSError(errno.EADDRINUSE, message) from None
    return MetricsPage(server.server_port, server, thread)
