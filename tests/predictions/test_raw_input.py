"""The raw input of a prediction is nowhere in plain form: not while its job waits, not while it runs, not after it ended."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import predictions_pb2 as pb

from server.telemetry import logs
from tests.support import environment, live, searching, trained
from tests.support.asking import PLAIN, accepted, ended, new_org, untyped
from tests.support.leftovers import inputs_dropped, inputs_of, superuser
from tests.support.refusals import refusal
from tests.support.working import working

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from tests.support.databases import Cluster
    from tests.support.live import Service

SECRET = PLAIN | {"department": searching.TEXT, "education_field": searching.TEXT, "monthly_income": searching.NUMBER}
ID = "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, the finest level included."""
    stream = io.StringIO()
    logs.configure("test", "debug", stream)
    yield stream
    logs.configure("test", "error")


@pytest.fixture
async def idle(cluster: Cluster, database: str, tmp_path: Path, lines: io.StringIO) -> AsyncIterator[Service]:
    """A service with a model and without a worker, on a database of Valkey that nobody else uses."""
    settings = environment.settings(cluster, database, redis_url=f"{cluster.valkey.url}?db=4")
    async with live.running(settings, tmp_path, worker=False) as service:
        await service.app.valkey.client.flushdb()
        await trained.activate_model(service.app)
        yield service


async def test_the_raw_input_is_found_nowhere_while_its_job_waits_and_after_it_ended(
    cluster: Cluster, idle: Service, lines: io.StringIO, spans: InMemorySpanExporter
) -> None:
    org = new_org()
    who = live.bearer(org)
    accepted_ = await accepted(idle, who, untyped(SECRET, request_id=ID))
    await accepted(idle, who, untyped(SECRET))
    for wrong in ({"job_level": searching.TEXT}, {"shoe_size": searching.NUMBER}, {"business_travel": searching.TEXT}):
        refused = await refusal(accepted(idle, who, untyped(SECRET | wrong)))
        assert not searching.found(refused.status.SerializeToString())
    assert len(await inputs_of(idle, org)) == 1
    assert await searching.in_postgresql(cluster, idle) == []
    assert await searching.in_valkey(idle) == []
    async with working(idle):
        job = await ended(idle, who, accepted_.job_id)
        await inputs_dropped(idle, org)
    assert job.state == pb.PREDICTION_JOB_STATE_COMPLETED
    assert not searching.found(job.SerializeToString())
    assert await searching.in_postgresql(cluster, idle) == []
    assert await searching.in_valkey(idle) == []
    assert "RequestPrediction" in lines.getvalue()
    assert not searching.found(lines.getvalue().encode())
    written = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "prediction.execute" in written
    assert not searching.found(written.encode())


async def test_control_a_canary_in_a_row_in_a_key_or_in_a_value_is_found(cluster: Cluster, idle: Service) -> None:
    who = live.bearer(new_org())
    job_id = (await accepted(idle, who, untyped(SECRET, request_id=ID))).job_id
    async with superuser(cluster, idle) as connection:
        await connection.execute("UPDATE prediction_jobs SET error_message = $2 WHERE job_id = $1", job_id, f"got {searching.NUMBER}")
        assert await searching.in_postgresql(cluster, idle) == ["prediction_jobs"]
        await connection.execute("UPDATE idempotency_keys SET response = $1", untyped(SECRET).SerializeToString())
        assert set(await searching.in_postgresql(cluster, idle)) == {"prediction_jobs", "idempotency_keys"}
    client = idle.app.valkey.client
    await client.set("value", f'{{"monthly_income": {searching.NUMBER}}}')
    await client.hset("hash", "field", searching.TEXT)
    await client.set(f"key-{searching.TEXT}", "")
    assert set(await searching.in_valkey(idle)) == {b"value", b"hash", f"key-{searching.TEXT}".encode()}
