"""Fixtures of all tests: servers once per test process, a fresh database per test."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.telemetry import logs, tracing
from tests.support import databases, environment, live, trained
from tests.support.demo import Demo
from tests.support.demo import demo as loaded_demo
from tests.support.together import Together, place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from xdist.remote import Producer

    from tests.support.databases import Cluster
    from tests.support.live import Service

# How long an example takes says nothing where other processes take the processor.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# Settings of a shell that runs the service beside the tests must not leak into them.
for name in [name for name in os.environ if name.startswith(("ANALYTICS_", "ANALYTICSCTL_"))]:
    del os.environ[name]

# A shell starts what it puts into the background deaf to Ctrl-C, and children inherit that; tests interrupt theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Have files that share a demo run in one process."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: place(item.nodeid))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is there to the end: all modules and all tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """Log errors only; a test that reads logs configures them itself."""
    logs.configure("test", "error")


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Every span that ended during the test."""
    exporter = InMemorySpanExporter()
    tracing.start("test", exporter=exporter)
    yield exporter
    tracing.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL and Valkey of this test process, roles made, a migrated template."""
    yield from databases.cluster()


@pytest.fixture(scope="session")
async def demo(cluster: Cluster) -> AsyncIterator[Demo]:
    """The demo organizations after their first night, to be copied."""
    async for made in loaded_demo(cluster):
        yield made


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    """Name of a fresh, migrated database."""
    name = await cluster.create_database()
    yield name
    await cluster.drop_database(name)


@pytest.fixture
async def service(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A running service with worker, without a model."""
    async with live.running(environment.settings(cluster, database), tmp_path) as made:
        yield made


@pytest.fixture
async def ready_service(service: Service) -> Service:
    """A running service with worker and an active turnover model."""
    await trained.activate_model(service.app)
    return service
