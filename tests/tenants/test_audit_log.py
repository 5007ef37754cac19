"""The audit log: an entry per act, in the act's transaction, never changed and never removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest
from analytics.v1 import fact_service_pb2
from analytics.v1 import tenant_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.audit.tables import audit_entries
from server.db.engines import DbRole
from server.identity import OrgId
from tests.support import live, rows
from tests.support.leftovers import superuser
from tests.support.loading import load
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Metadata, Service

pytestmark = pytest.mark.xdist_group("audit log")

ACTIONS = ["facts.ingested", "profile.updated", "switches.updated", "facts.deleted"]


async def _act(service: Service, who: Metadata) -> None:
    """One act of each kind."""
    await load(service, who, rows.employees(2))
    await service.tenants.UpdateOrganizationProfile(
        pb.UpdateOrganizationProfileRequest(
            profile=pb.OrganizationProfile(display_name="SECRET"), update_mask=FieldMask(paths=["display_name", "industry"])
        ),
        metadata=who,
    )
    await service.tenants.UpdateSwitches(
        pb.UpdateSwitchesRequest(switches=pb.Switches(), update_mask=FieldMask(paths=["pooled_training"])), metadata=who
    )
    await service.facts.DeleteFacts(
        fact_service_pb2.DeleteFactsRequest(fact_set=fact_service_pb2.FACT_SET_EMPLOYEES, everything=True), metadata=who
    )


async def _entries(service: Service, who: Metadata, action: str = "") -> list[pb.AuditEntry]:
    return list((await service.tenants.ListAuditEntries(pb.ListAuditEntriesRequest(action=action), metadata=who)).entries)


async def test_every_act_leaves_an_entry_that_says_who_did_what_by_which_call(shared: Service, org: str) -> None:
    who = (*live.bearer(org, user="ada"), ("x-request-id", "call-17"))
    await _act(shared, who)
    entries = await _entries(shared, who)
    assert [entry.action for entry in entries] == ACTIONS[::-1]
    assert {(entry.actor, entry.request_id) for entry in entries} == {("ada", "call-17")}
    assert len({entry.id for entry in entries}) == 4
    times = [entry.time.ToNanoseconds() for entry in entries]
    assert times == sorted(times, reverse=True)
    by_action = {entry.action: entry for entry in entries}
    assert dict(by_action["switches.updated"].details) == {"pooled_training": "false"}
    assert dict(by_action["profile.updated"].details) == {"fields": "display_name,industry"}
    assert (by_action["profile.updated"].resource_type, by_action["profile.updated"].resource_id) == ("organization", org)
    assert b"SECRET" not in b"".join(entry.SerializeToString() for entry in entries)


async def test_the_log_is_filtered_by_action(shared: Service, org: str) -> None:
    who = live.bearer(org)
    await _act(shared, who)
    assert [entry.action for entry in await _entries(shared, who, "switches.updated")] == ["switches.updated"]
    assert await _entries(shared, who, "nothing.happened") == []


async def test_an_act_that_failed_leaves_no_entry(shared: Service, org: str) -> None:
    who = live.bearer(org)
    stale = pb.UpdateSwitchesRequest(switches=pb.Switches(etag="7"), update_mask=FieldMask(paths=["pooled_training"]))
    assert (await refusal(shared.tenants.UpdateSwitches(stale, metadata=who))).reason == "ETAG_MISMATCH"
    assert await _entries(shared, who) == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_entries SET actor = 'nobody'", "DELETE FROM audit_entries", "TRUNCATE audit_entries", "DROP TABLE audit_entries",
     "ALTER TABLE audit_entries DISABLE ROW LEVEL SECURITY"],
)  # fmt: skip
@pytest.mark.parametrize("role", list(DbRole))
async def test_no_role_of_the_service_changes_or_removes_an_entry(
    cluster: Cluster, shared: Service, org: str, statement: str, role: DbRole
) -> None:
    await _act(shared, live.bearer(org))
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):  # noqa: PT012 - what passed over the failure would fail at the commit
        async with shared.app.db.platform(role) as tx:
            await tx.one(text("SELECT set_config('app.org_id', :org, true)"), {"org": org})
            await tx.run(text(statement))
    async with superuser(cluster, shared) as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit_entries WHERE org_id = $1 AND actor = 'user-1'", org) == 4


async def test_control_a_role_with_the_grant_would_change_entries(cluster: Cluster, shared: Service, org: str) -> None:
    await _act(shared, live.bearer(org))
    async with superuser(cluster, shared) as connection:
        await connection.execute(f"GRANT UPDATE ON {audit_entries.name} TO app")
        try:
            async with shared.app.tx(OrgId(org)) as tx:
                assert await tx.run(text("UPDATE audit_entries SET actor = 'nobody'")) == 4
        finally:
            await connection.execute(f"REVOKE UPDATE ON {audit_entries.name} FROM app")


async def test_an_entry_of_another_organization_cannot_be_written(shared: Service, org: str) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with shared.app.tx(OrgId(org)) as tx:
            await tx.run(
                text("INSERT INTO audit_entries VALUES (:org, gen_random_uuid(), now(), 'a', 'b', 'c', 'd', 'e', '{}')"),
                {"org": f"{org}-b"},
            )


@pytest.mark.parametrize("role", ["viewer", "analyst"])
async def test_the_log_is_for_admins_and_owners(shared: Service, org: str, role: str) -> None:
    refused = await refusal(_entries(shared, live.bearer(org, role)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListAuditEntriesRequest(page_size=-1), "page_size"),
        (pb.ListAuditEntriesRequest(action="x" * 101), "action"),
        (pb.ListAuditEntriesRequest(action="a\x00b"), "action"),
        (pb.ListAuditEntriesRequest(page_token="AAAA"), "page_token"),
    ],
)
async def test_a_bad_list_request_names_the_field(shared: Service, org: str, request_: pb.ListAuditEntriesRequest, field: str) -> None:
    refused = await refusal(shared.tenants.ListAuditEntries(request_, metadata=live.bearer(org)))
    assert (refused.code, set(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, {field})


async def test_a_role_of_the_service_cannot_read_the_log_without_a_tenant(cluster: Cluster, shared: Service, org: str) -> None:
    await _act(shared, live.bearer(org))
    async with shared.app.db.platform() as tx:
        assert await tx.all(text("SELECT * FROM audit_entries")) == []
    url = shared.app.settings.database_url.replace("analytics_owner:owner-password", "trainer:trainer-password")
    connection = await asyncpg.connect(url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT * FROM audit_entries")
    await connection.close()
