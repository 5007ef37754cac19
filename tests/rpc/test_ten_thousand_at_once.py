"""A burst over one connection under the limits as shipped: every answer says what happened, and what was accepted is there once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import error_details_pb2

from server.settings import Settings
from tests.support import environment, live, trained
from tests.support.asking import accepted, new_org, typed
from tests.support.leftovers import superuser
from tests.support.refusals import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.databases import Cluster
    from tests.support.live import Service

REQUESTS = 10_000
_JOBS = "SELECT count(*) FROM prediction_jobs WHERE org_id = $1"
_AUDITED = "SELECT count(*) FROM audit_entries WHERE org_id = $1 AND action = 'prediction.requested'"


@pytest.fixture
async def shipped(cluster: Cluster, database: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with a model, without a worker, under the limits of calls as they are shipped."""
    names = ("tenant_requests_per_second", "tenant_request_burst", "tenant_concurrent_calls", "max_concurrent_calls")
    limits = {name: Settings.model_fields[name].default for name in names}
    settings = environment.settings(cluster, database, redis_url=f"{cluster.valkey.url}?db=6", **limits)
    async with live.running(settings, tmp_path, worker=False) as service:
        await trained.activate_model(service.app)
        yield service


async def test_ten_thousand_requests_at_once_are_each_accepted_once_or_refused_with_a_reason_and_when_to_retry(
    cluster: Cluster, shipped: Service
) -> None:
    org = new_org()
    who = live.bearer(org)
    told: Counter[str] = Counter()

    async def ask(seed: int) -> None:
        request = typed(seed)
        request.turnover.attributes.distance_from_home = seed / 1_000
        try:
            await accepted(shipped, who, request)
        except grpc.aio.AioRpcError as error:
            refused = read(error)
            assert refused.has(error_details_pb2.RetryInfo), refused.status
            assert refused.detail(error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
            told[refused.reason] += 1
        else:
            told["accepted"] += 1

    await asyncio.gather(*(ask(seed) for seed in range(REQUESTS)))
    print(f"{REQUESTS} at once: {dict(told)}")
    assert sum(told.values()) == REQUESTS
    assert told["accepted"] > 0
    async with superuser(cluster, shipped) as connection:
        assert await connection.fetchval(_JOBS, org) == told["accepted"]
        assert await connection.fetchval(_AUDITED, org) == told["accepted"]
