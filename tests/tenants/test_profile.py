"""The organization's profile: empty until set, changed by mask, guarded by an etag, audited."""

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

pytestmark = pytest.mark.xdist_group("profile")

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FULL = pb.OrganizationProfile(display_name="Acme", industry=pb.INDUSTRY_FINANCE, size_range=pb.COMPANY_SIZE_RANGE_50_TO_200)


async def _get(service: Service, who: Metadata) -> pb.OrganizationProfile:
    return (await service.tenants.GetOrganizationProfile(pb.GetOrganizationProfileRequest(), metadata=who)).profile


async def _set(
    service: Service, who: Metadata, profile: pb.OrganizationProfile, *paths: str, request_id: str = ""
) -> pb.OrganizationProfile:
    request = pb.UpdateOrganizationProfileRequest(profile=profile, update_mask=FieldMask(paths=paths), request_id=request_id)
    return (await service.tenants.UpdateOrganizationProfile(request, metadata=who)).profile


async def test_a_profile_that_was_never_set_is_empty(shared: Service, org: str) -> None:
    assert await _get(shared, live.bearer(org)) == pb.OrganizationProfile(etag="0")


async def test_only_the_fields_of_the_mask_change(shared: Service, org: str) -> None:
    who = live.bearer(org)
    first = await _set(shared, who, FULL, "display_name", "industry", "size_range")
    assert (first.display_name, first.industry, first.size_range) == ("Acme", FULL.industry, FULL.size_range)
    assert first.HasField("update_time")
    second = await _set(shared, who, pb.OrganizationProfile(display_name="Other", industry=pb.INDUSTRY_RETAIL), "industry")
    assert (second.display_name, second.industry, second.size_range) == ("Acme", pb.INDUSTRY_RETAIL, FULL.size_range)
    assert second.etag != first.etag
    assert await _get(shared, who) == second
    cleared = await _set(shared, who, pb.OrganizationProfile(), "display_name")
    assert (cleared.display_name, cleared.industry) == ("", pb.INDUSTRY_RETAIL)


async def test_every_industry_and_size_comes_back_as_it_was_set(shared: Service, org: str) -> None:
    who = live.bearer(org)
    for industry in pb.Industry.values():
        assert (await _set(shared, who, pb.OrganizationProfile(industry=industry), "industry")).industry == industry
    for size in pb.CompanySizeRange.values():
        assert (await _set(shared, who, pb.OrganizationProfile(size_range=size), "size_range")).size_range == size


@pytest.mark.parametrize("paths", [(), ("nothing",), ("display_name", "etag"), ("update_time",), ("org_id",), ("profile.display_name",)])
async def test_a_mask_without_or_with_unknown_fields_is_refused(
    cluster: Cluster, shared: Service, org: str, paths: tuple[str, ...]
) -> None:
    refused = await refusal(_set(shared, live.bearer(org), FULL, *paths))
    assert (refused.code, refused.reason, set(refused.fields)) == (INVALID, "FIELD_MASK_INVALID", {"update_mask"})
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.UpdateOrganizationProfileRequest(profile=FULL), "update_mask"),
        (pb.UpdateOrganizationProfileRequest(update_mask=FieldMask(paths=["industry"])), "profile"),
        (
            pb.UpdateOrganizationProfileRequest(
                profile=pb.OrganizationProfile(display_name="x" * 201), update_mask=FieldMask(paths=["display_name"])
            ),
            "profile.display_name",
        ),
        (
            pb.UpdateOrganizationProfileRequest(
                profile=pb.OrganizationProfile(display_name="Ac\x00me"), update_mask=FieldMask(paths=["display_name"])
            ),
            "profile.display_name",
        ),
        (
            pb.UpdateOrganizationProfileRequest(
                profile=pb.OrganizationProfile(industry=77),  # type: ignore[arg-type]  # a number the enum does not have
                update_mask=FieldMask(paths=["industry"]),
            ),
            "profile.industry",
        ),
        (
            pb.UpdateOrganizationProfileRequest(profile=FULL, update_mask=FieldMask(paths=["industry"]), request_id="again"),
            "request_id",
        ),
    ],
    ids=["no mask", "no profile", "long name", "NUL in the name", "unknown industry", "bad request id"],
)
async def test_a_bad_update_is_refused_by_field(
    cluster: Cluster, shared: Service, org: str, request_: pb.UpdateOrganizationProfileRequest, field: str
) -> None:
    refused = await refusal(shared.tenants.UpdateOrganizationProfile(request_, metadata=live.bearer(org)))
    assert (refused.code, refused.reason, set(refused.fields)) == (INVALID, "VALIDATION_FAILED", {field})
    assert await nothing_of(cluster, shared, org)


async def test_an_etag_that_is_not_current_is_aborted_and_changes_nothing(shared: Service, org: str) -> None:
    who = live.bearer(org)
    first = await _set(shared, who, FULL, "display_name")
    second = await _set(shared, who, pb.OrganizationProfile(display_name="Two", etag=first.etag), "display_name")
    for etag in (first.etag, "0", "nonsense"):
        refused = await refusal(_set(shared, who, pb.OrganizationProfile(display_name="Three", etag=etag), "display_name"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert await _get(shared, who) == second


async def test_of_updates_at_once_with_one_etag_exactly_one_wins(shared: Service, org: str) -> None:
    who = live.bearer(org)
    etag = (await _set(shared, who, FULL, "display_name")).etag
    calls = [_set(shared, who, pb.OrganizationProfile(display_name=f"n-{number}", etag=etag), "display_name") for number in range(10)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, pb.OrganizationProfile)]
    lost = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(won) == 1
    assert {error.code() for error in lost} == {grpc.StatusCode.ABORTED}
    assert (await _get(shared, who)).display_name == won[0].display_name


async def test_first_updates_at_once_leave_one_profile_and_no_lost_change(shared: Service, org: str) -> None:
    who = live.bearer(org)
    calls = [_set(shared, who, pb.OrganizationProfile(display_name=f"n-{number}"), "display_name") for number in range(10)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, pb.OrganizationProfile)]
    assert {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)} <= {grpc.StatusCode.ABORTED}
    assert int((await _get(shared, who)).etag) == len(won)


async def test_a_retry_gets_the_first_answer_after_another_change(shared: Service, org: str) -> None:
    who, request_id = live.bearer(org), str(uuid4())
    first = await _set(shared, who, FULL, "display_name", request_id=request_id)
    await _set(shared, who, pb.OrganizationProfile(display_name="Two"), "display_name")
    assert await _set(shared, who, FULL, "display_name", request_id=request_id) == first
    assert (await _get(shared, who)).display_name == "Two"
    refused = await refusal(_set(shared, who, FULL, "industry", request_id=request_id))
    assert (refused.code, refused.reason) == (INVALID, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(("role", "allowed"), [("viewer", False), ("analyst", False), ("admin", True), ("owner", True)])
async def test_admins_and_owners_change_the_profile_and_all_read_it(shared: Service, org: str, role: str, allowed: bool) -> None:  # noqa: FBT001 - a table's column
    who = live.bearer(org, role)
    assert (await _get(shared, who)).etag == "0"
    if allowed:
        assert (await _set(shared, who, FULL, "display_name")).display_name == "Acme"
    else:
        refused = await refusal(_set(shared, who, FULL, "display_name"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
