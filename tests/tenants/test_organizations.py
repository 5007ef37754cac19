"""Which organizations there are: known from their first facts or profile on, listed for scheduled work and for nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from analytics.v1 import employees_pb2
from analytics.v1 import tenant_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.db import migrate
from server.db.engines import DbRole, async_url
from server.identity import OrgId
from server.tenants import store
from tests.support import live, rows
from tests.support.leftovers import superuser
from tests.support.loading import load
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from tests.support.databases import Cluster
    from tests.support.live import Service

_EMPLOYEE = "INSERT INTO employees (org_id, employee_key, as_of, updated_at) VALUES ($1, 'e', '2026-01-31', now())"
_PROFILE = "INSERT INTO organization_profiles VALUES ($1, '', '', '', 1, now())"


async def _known(service: Service) -> list[str]:
    """All organizations, in pages of two."""
    found: list[str] = []
    while True:
        async with service.app.db.platform() as tx:
            page = await store.organizations(tx, found[-1] if found else "", 2)
        if not page:
            return found
        found += page


async def _name(service: Service, org: str) -> None:
    request = pb.UpdateOrganizationProfileRequest(
        profile=pb.OrganizationProfile(display_name="Name"), update_mask=FieldMask(paths=["display_name"])
    )
    await service.tenants.UpdateOrganizationProfile(request, metadata=live.bearer(org))


async def test_an_organization_is_known_from_its_first_facts_or_its_first_profile_on(cluster: Cluster, shared: Service, org: str) -> None:
    by_facts, by_profile, asking = f"{org}-facts", f"{org}-profile", f"{org}-asks"
    await load(shared, live.bearer(by_facts), rows.employees(2))
    await _name(shared, by_profile)
    await shared.tenants.GetOrganizationProfile(pb.GetOrganizationProfileRequest(), metadata=live.bearer(asking))
    known = await _known(shared)
    assert known == sorted(known)
    assert {by_facts, by_profile} <= set(known)
    assert asking not in known
    async with superuser(cluster, shared) as connection:
        seen = await connection.fetchval("SELECT first_seen_at FROM organizations WHERE org_id = $1", by_facts)
        await load(shared, live.bearer(by_facts), rows.employees(3))
        await _name(shared, by_facts)
        assert await connection.fetchval("SELECT first_seen_at FROM organizations WHERE org_id = $1", by_facts) == seen


async def test_a_refused_batch_makes_no_organization_known(shared: Service, org: str) -> None:
    refused = await refusal(load(shared, live.bearer(org), [employees_pb2.Employee()] * 5001))
    assert refused.reason == "BATCH_TOO_LARGE"
    assert org not in await _known(shared)


async def test_an_organization_sees_itself_alone_and_no_other_role_lists_them(shared: Service, org: str) -> None:
    for each in (f"{org}-a", f"{org}-b"):
        async with shared.app.tx(OrgId(each)) as tx:
            await store.remember(tx, OrgId(each))
    async with shared.app.read(OrgId(f"{org}-a")) as tx:
        seen = [row.org_id for row in await tx.all(text("SELECT org_id FROM organizations"))]
    assert seen == [f"{org}-a"]
    with pytest.raises(DBAPIError):
        async with shared.app.tx(OrgId(f"{org}-a")) as tx:
            await store.remember(tx, OrgId(f"{org}-c"))
    for role in (DbRole.DISPATCH, DbRole.TRAINER):
        with pytest.raises(DBAPIError):
            async with shared.app.db.platform(role) as tx:
                await store.organizations(tx, "", 1)
    assert f"{org}-c" not in await _known(shared)


async def test_organizations_from_before_are_taken_over_by_the_migration(cluster: Cluster, database: str) -> None:
    owner = async_url(cluster.owner_url(database))
    before = ScriptDirectory.from_config(migrate.config()).get_revision("0004").down_revision
    await migrate._with_connection(owner, lambda made: command.downgrade(made, str(before)))
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        assert await connection.fetchval("SELECT to_regclass('organizations')") is None
        for statement, org in ((_EMPLOYEE, "with-facts"), (_PROFILE, "with-profile"), (_EMPLOYEE, "with-both"), (_PROFILE, "with-both")):
            await connection.execute(statement, org)
        await migrate.migrate(owner)
        known = [row["org_id"] for row in await connection.fetch("SELECT org_id FROM organizations ORDER BY org_id")]
        assert known == ["with-both", "with-facts", "with-profile"]
    finally:
        await connection.close()
