"""A page of insights: calls per second beside a bare handler, and the time of a call with few and with many rows."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import grpc.aio
from analytics.v1 import analytics_service_pb2_grpc
from analytics.v1 import insights_pb2 as pb

from bench import bare_handler
from bench.asking import in_lanes
from bench.calls import CONNECTIONS, ROUNDS, STREAMS, load
from bench.measure import Row, Skipped, in_turns, percentile
from bench.stack import process
from server.identity import InsightId
from server.insights.model import Insight
from server.wire.insights import encode
from tests.support.insights import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.context import Service

ROWS = 1_000_000
SIZES = (10_000, 100_000, 1_000_000)
LARGE = 10_000_000
QUICK_ROWS = 20_000
"""Rows of a quick run, which is to show that it runs."""
PAGE = pb.GetInsightsRequest(page_size=20)
TARGET = 1.5
FLAT = 1.5
LATENCY_CALLS, LANES = 2_000, 4
TEMPLATES = 1_000
FILL_SECONDS = 3_600
SMALL_ORGS, SMALL_ROWS = 400, 20
"""Most organizations have few insights, and the planner must not take a large one for one of them."""
_NOBODY = UUID(int=0)
_ID = pb.Insight(id=str(_NOBODY)).SerializeToString()

_MAKE_TEMPLATES = """
CREATE TABLE IF NOT EXISTS bench_insights (place int PRIMARY KEY, title text, description text, confidence numeric, data_points jsonb,
    actions jsonb, provenance jsonb, created_at timestamptz, expires_at timestamptz, message bytea)
"""
_TEMPLATE = "INSERT INTO bench_insights VALUES ($1, $2, $3, $4::float8::numeric(4, 3), $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"
# The id is the one part of a message that no two rows share: field 1, 36 letters, before or behind everything else alike.
_FILL = """
INSERT INTO insights (org_id, insight_id, fingerprint, category, insight_type, title, description, confidence, data_points, actions,
    provenance, severity, digest, message, created_at, updated_at, shown_at, expires_at, listed, revision)
SELECT $1, id, sha256(uuid_send(id)), 'finance', 'payroll_cost_spike', title, description, confidence, data_points, actions, provenance,
    5, sha256(uuid_send(id)), '\\x0a24'::bytea || convert_to(id::text, 'UTF8') || message, created_at, created_at, created_at,
    expires_at, true, 1
FROM (SELECT gen_random_uuid() AS id, (n % $3)::int AS place FROM generate_series(0, $2 - 1) n) made JOIN bench_insights USING (place)
"""


async def insights(service: Service) -> list[Row | Skipped]:
    """Measure a page of 20 at a million insights, and how its time grows with their number."""
    quick = service.scale < 1
    sizes = (QUICK_ROWS // 10, QUICK_ROWS) if quick else SIZES
    orgs = await _filled(service, sizes)
    return [await _beside_bare(service, orgs[-1], QUICK_ROWS if quick else ROWS), *await _flat(service, orgs, sizes)]


async def large(service: Service) -> list[Row | Skipped]:
    """Measure how the time of a page grows up to ten million insights, which takes 20 GB and half an hour."""
    sizes = (SIZES[0], LARGE if service.scale == 1 else QUICK_ROWS)
    return await _flat(service, await _filled(service, sizes), sizes)


async def _filled(service: Service, sizes: Sequence[int]) -> list[str]:
    """Give an organization each number of active insights; returns the organizations."""
    await service.admin.execute(_MAKE_TEMPLATES)
    await service.admin.executemany(_TEMPLATE, [_template(place) for place in range(TEMPLATES)])
    orgs = [f"insights-{size}" for size in sizes]
    small = [(f"insights-of-small-{number}", SMALL_ROWS) for number in range(SMALL_ORGS)]
    for org, size in (*zip(orgs, sizes, strict=True), *small):
        if not await service.count("SELECT count(*) FROM insights WHERE org_id = $1", org):
            await service.admin.execute(_FILL, org, size, TEMPLATES, timeout=FILL_SECONDS)
    await service.admin.execute("VACUUM (ANALYZE) insights")
    return orgs


def _template(place: int) -> tuple[object, ...]:
    """Return a row without what belongs to one insight alone; templates differ in their texts, numbers and instants."""
    created = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=place)
    made = finding()
    made = replace(made, description=f"{made.description} {place}", data_points={**made.data_points, "actual": 400_000.5 + place})
    message = encode(Insight(InsightId(_NOBODY), made, created, created, None, 1)).replace(_ID, b"", 1)
    return (
        place,
        made.title,
        made.description,
        made.confidence,
        json.dumps(made.data_points),
        json.dumps([asdict(action) for action in made.actions]),
        json.dumps({**asdict(made.provenance), "facts_as_of": made.provenance.facts_as_of.isoformat()}),
        created,
        made.expires_at,
        message,
    )


async def _beside_bare(service: Service, org: str, rows: int) -> Row | Skipped:
    name = f"GetInsights, 20 of {rows:,}"
    if shutil.which("h2load") is None:
        return Skipped(name, "h2load is not installed (Debian: nghttp2-client)")
    tenant = service.tenant(org)
    with process(service.made, "bench.bare_insights", {bare_handler.ORG: org, bare_handler.URL: service.made.admin_url}) as bare:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{bare.port}") as channel:
            ours = await _stub(service.channel).GetInsights(PAGE, metadata=tenant.metadata)
            assert ours.next_page_token
            ours.next_page_token = ""
            assert await _stub(channel).GetInsights(PAGE) == ours, "the bare handler answers something else"
        pair = await in_turns(
            ROUNDS,
            partial(load, service, tenant, service.server.port, "GetInsights", PAGE),
            partial(load, service, None, bare.port, "GetInsights", PAGE),
        )
    return Row(
        name,
        f"{pair.our_median:,.0f} pages/s",
        f"bare handler, one SELECT, messages from columns: {pair.bare_median:,.0f} pages/s",
        pair.ratio,
        pair.spread,
        f">= {TARGET}x",
        pair.ratio >= TARGET,
        f"{CONNECTIONS} connections of {STREAMS} streams; both answer the same insights",
    )


async def _flat(service: Service, orgs: Sequence[str], sizes: Sequence[int]) -> list[Row | Skipped]:
    """Compare the slowest hundredth of calls with each number of insights to that with the fewest."""
    seconds: dict[str, list[float]] = {org: [] for org in orgs}
    # In turns, so that what else the machine does meets all of them.
    for _ in range(ROUNDS):
        for org in orgs:
            seconds[org] += await _latencies(service, org, service.some(LATENCY_CALLS // ROUNDS))
    first = percentile(seconds[orgs[0]], 0.99)
    rows: list[Row | Skipped] = []
    for org, size in zip(orgs[1:], sizes[1:], strict=True):
        last = percentile(seconds[org], 0.99)
        name = f"GetInsights, 20 of {size:,}, p99"
        beside = f"{first * 1e3:.1f} ms of {sizes[0]:,}"
        rows.append(Row(name, f"{last * 1e3:.1f} ms", beside, last / first, None, f"flat (<= {FLAT})", last / first <= FLAT))
    return rows


async def _latencies(service: Service, org: str, calls: int) -> list[float]:
    stub, metadata = _stub(service.channel), service.tenant(org).metadata
    seconds: list[float] = []

    async def call() -> None:
        began = time.perf_counter()
        await stub.GetInsights(PAGE, metadata=metadata)
        seconds.append(time.perf_counter() - began)

    await in_lanes(LANES, [call] * calls)
    return seconds


def _stub(channel: grpc.aio.Channel) -> analytics_service_pb2_grpc.AnalyticsServiceAsyncStub:
    return analytics_service_pb2_grpc.AnalyticsServiceStub(channel)
