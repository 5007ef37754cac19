"""All SQL of organizations, profiles and switches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import insert

from server.db import now
from server.identity import OrgId
from server.tenants.model import Industry, Profile, SizeRange, Switches
from server.tenants.tables import organization_profiles, tenant_switches
from server.tenants.tables import organizations as known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import ReadTx, Tx

SWITCHES_LOCK = 0x73776974
"""Number of the advisory lock that whoever saves switches shares with others who do; who stores what nobody may have opted out of
holds it alone, until its transaction ends."""

_SHARE = text("SELECT pg_advisory_xact_lock_shared(:key)")
_REMEMBER = insert(known).values(org_id=bindparam("org"), first_seen_at=now()).on_conflict_do_nothing()
_PROFILE = select(organization_profiles).where(organization_profiles.c.org_id == bindparam("org"))
_SWITCHES = select(tenant_switches).where(tenant_switches.c.org_id == bindparam("org"))
_LIST = text("SELECT org_id FROM list_orgs(:after, :most) AS org_id")


async def remember(tx: Tx, org: OrgId) -> None:
    """Have the organization known to what goes through all of them; one that is known already costs no write."""
    await tx.run(_REMEMBER, {"org": org})


async def organizations(tx: ReadTx, after: str, limit: int) -> Sequence[OrgId]:
    """Return the next `limit` known organizations after `after` ('' for the first), by id; of all tenants, for scheduled work."""
    return [OrgId(row.org_id) for row in await tx.all(_LIST, {"after": after, "most": limit})]


async def profile(tx: ReadTx, org: OrgId) -> Profile:
    """Return the profile, or an empty one."""
    row = await tx.first(_PROFILE, {"org": org})
    if row is None:
        return Profile()
    return Profile(row.display_name, Industry(row.industry), SizeRange(row.size_range), row.revision, row.updated_at)


async def switches(tx: ReadTx, org: OrgId) -> Switches:
    """Return the switches, or the defaults."""
    row = await tx.first(_SWITCHES, {"org": org})
    if row is None:
        return Switches()
    return Switches(row.pooled_training, row.benchmark_contribution, row.retain_prediction_inputs, row.revision, row.updated_at)


async def save_profile(tx: Tx, org: OrgId, profile: Profile) -> bool:
    """Write `profile` as the successor of the revision it was read at; False when another change came first."""
    values = {
        "display_name": profile.display_name,
        "industry": profile.industry.value,
        "size_range": profile.size_range.value,
        "revision": profile.revision + 1,
        "updated_at": now(),
    }
    statement = insert(organization_profiles).values(org_id=org, **values)
    return bool(
        await tx.run(
            statement.on_conflict_do_update(
                index_elements=["org_id"], set_=values, where=organization_profiles.c.revision == profile.revision
            )
        )
    )


async def save_switches(tx: Tx, org: OrgId, switches: Switches) -> bool:
    """Write `switches` as the successor of the revision it was read at; False when another change came first.

    Waits while a release is being stored, a moment: see `SWITCHES_LOCK`.
    """
    await tx.first(_SHARE, {"key": SWITCHES_LOCK})
    values = {
        "pooled_training": switches.pooled_training,
        "benchmark_contribution": switches.benchmark_contribution,
        "retain_prediction_inputs": switches.retain_prediction_inputs,
        "revision": switches.revision + 1,
        "updated_at": now(),
    }
    statement = insert(tenant_switches).values(org_id=org, **values)
    return bool(
        await tx.run(
            statement.on_conflict_do_update(index_elements=["org_id"], set_=values, where=tenant_switches.c.revision == switches.revision)
        )
    )
