"""The switches: stated defaults, changed by the owner alone, at once, and audited with their values."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import tenant_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support import live
from tests.support.leftovers import nothing_of
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("switches")

DEFAULTS = {"pooled_training": True, "benchmark_contribution": True, "retain_prediction_inputs": False}


async def _get(service: Service, who: Metadata) -> pb.Switches:
    return (await service.tenants.GetSwitches(pb.GetSwitchesRequest(), metadata=who)).switches


async def _set(service: Service, who: Metadata, switches: pb.Switches, *paths: str, request_id: str = "") -> pb.Switches:
    request = pb.UpdateSwitchesRequest(switches=switches, update_mask=FieldMask(paths=paths), request_id=request_id)
    return (await service.tenants.UpdateSwitches(request, metadata=who)).switches


def _values(switches: pb.Switches) -> dict[str, bool]:
    return {name: getattr(switches, name) for name in DEFAULTS}


async def test_switches_that_were_never_set_have_their_stated_defaults(shared: Service, org: str) -> None:
    switches = await _get(shared, live.bearer(org, "viewer"))
    assert _values(switches) == DEFAULTS
    assert (switches.etag, switches.HasField("update_time")) == ("0", False)


@pytest.mark.parametrize("name", DEFAULTS)
async def test_one_switch_changes_and_the_others_keep_their_defaults(shared: Service, org: str, name: str) -> None:
    owner = live.bearer(org, "owner")
    flipped = pb.Switches(**{name: not DEFAULTS[name]})  # type: ignore[arg-type]  # one of its fields
    changed = await _set(shared, owner, flipped, name)
    assert _values(changed) == DEFAULTS | {name: not DEFAULTS[name]}
    assert await _get(shared, owner) == changed
    back = await _set(shared, owner, pb.Switches(pooled_training=True, benchmark_contribution=True, etag=changed.etag), *DEFAULTS)
    assert _values(back) == DEFAULTS


@pytest.mark.parametrize("role", ["viewer", "analyst", "admin"])
async def test_only_the_owner_changes_switches(cluster: Cluster, shared: Service, org: str, role: str) -> None:
    refused = await refusal(_set(shared, live.bearer(org, role), pb.Switches(), "pooled_training"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize("paths", [(), ("everything",), ("pooled_training", "update_time"), ("*",)])
async def test_a_mask_without_or_with_unknown_switches_is_refused(
    cluster: Cluster, shared: Service, org: str, paths: tuple[str, ...]
) -> None:
    refused = await refusal(_set(shared, live.bearer(org), pb.Switches(), *paths))
    assert (refused.code, refused.reason, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_MASK_INVALID", {"update_mask"})
    assert await nothing_of(cluster, shared, org)


async def test_an_etag_that_is_not_current_is_aborted(shared: Service, org: str) -> None:
    owner = live.bearer(org)
    read = await _get(shared, owner)
    await _set(shared, owner, pb.Switches(etag=read.etag), "pooled_training")
    refused = await refusal(_set(shared, owner, pb.Switches(pooled_training=True, etag=read.etag), "pooled_training"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert not (await _get(shared, owner)).pooled_training


async def test_of_updates_at_once_each_either_holds_or_is_told_to_retry(shared: Service, org: str) -> None:
    owner = live.bearer(org)
    calls = [_set(shared, owner, pb.Switches(pooled_training=number % 2 == 0), "pooled_training") for number in range(12)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, pb.Switches)]
    assert {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)} <= {grpc.StatusCode.ABORTED}
    assert len({switches.etag for switches in won}) == len(won)
    assert await _get(shared, owner) == max(won, key=lambda switches: int(switches.etag))


async def test_the_same_request_at_once_changes_the_switches_once(shared: Service, org: str) -> None:
    owner, request_id = live.bearer(org), str(uuid4())
    answers = await asyncio.gather(*(_set(shared, owner, pb.Switches(), "pooled_training", request_id=request_id) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert (await _get(shared, owner)).etag == "1"


async def test_a_switch_of_one_organization_is_not_a_neighbours(shared: Service, org: str) -> None:
    await _set(shared, live.bearer(org), pb.Switches(), *DEFAULTS)
    assert _values(await _get(shared, live.bearer(f"{org}-b"))) == DEFAULTS
