"""Operators run the platform and see no tenant; tenants see themselves and run nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.support import live, walk
from tests.support.asking import new_org
from tests.support.leftovers import nothing_of
from tests.support.refusals import refusal
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("two sides")

OPERATIONS = [rpc for rpc in walk.rpcs() if ".OperationsService/" in rpc.path]
TENANT = [rpc for rpc in walk.rpcs() if ".OperationsService/" not in rpc.path]
DENIED = (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service that the tests of this file share."""
    async with shared_service(cluster, tmp_path_factory.mktemp("shared"), model=False, worker=False) as service:
        yield service


async def _call(service: Service, rpc: walk.Rpc, who: Metadata) -> bytes:
    request = walk.request(rpc, random.Random(1), walk.Pools()).SerializeToString()
    if rpc.gives_stream:
        parts: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = service.channel.unary_stream(rpc.path)
        return await anext(aiter(parts(request, metadata=who)))
    if rpc.takes_stream:
        stream: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = service.channel.stream_unary(rpc.path)
        return await stream(iter([request]), metadata=who)
    unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(rpc.path)
    return await unary(request, metadata=who)


@pytest.mark.parametrize("rpc", OPERATIONS, ids=lambda rpc: rpc.path.rpartition("/")[2])
async def test_no_tenant_calls_an_rpc_of_the_operators(cluster: Cluster, shared: Service, rpc: walk.Rpc) -> None:
    org = new_org()
    for roles in ((), ("owner",), ("viewer",), ("orchestrator",)):
        refused = await refusal(_call(shared, rpc, live.bearer(org, *roles)))
        assert (refused.code, refused.reason) == DENIED
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize("rpc", TENANT, ids=lambda rpc: rpc.path.rpartition("/")[2])
async def test_no_operator_calls_an_rpc_of_the_tenants(shared: Service, rpc: walk.Rpc) -> None:
    for who in (live.operator(), live.bearer(new_org(), "operator")):
        refused = await refusal(_call(shared, rpc, who))
        assert (refused.code, refused.reason) == DENIED


def test_both_sides_have_rpcs() -> None:
    assert len(OPERATIONS) >= 5
    assert len(TENANT) >= 15
