"""Change the profile or the switches of an organization."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from server.audit import store as audit
from server.audit.model import Act, Origin
from server.errors import AnalyticsError, Kind, Reason, invalid_argument
from server.tenants import store
from server.tenants.model import PROFILE_FIELDS, SWITCH_FIELDS, Profile, Switches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Tx


async def update_profile(tx: Tx, origin: Origin, wanted: Profile, fields: Sequence[str], etag: str) -> Profile:
    """Set the named fields to their values in `wanted`; returns the profile as it is then.

    Raises:
        AnalyticsError: FIELD_MASK_INVALID, ETAG_MISMATCH or CONCURRENT_UPDATE.

    """
    _check_mask(fields, PROFILE_FIELDS)
    current = await store.profile(tx, origin.org)
    _check_etag(etag, current.revision)
    changed = replace(current, **{name: getattr(wanted, name) for name in fields})
    await store.remember(tx, origin.org)
    if not await store.save_profile(tx, origin.org, changed):
        raise _concurrent()
    await audit.record(tx, origin, Act("profile.updated", "organization", origin.org, {"fields": ",".join(sorted(fields))}))
    return await store.profile(tx, origin.org)


async def update_switches(tx: Tx, origin: Origin, wanted: Switches, fields: Sequence[str], etag: str) -> Switches:
    """Set the named switches to their values in `wanted`; returns the switches as they are then.

    Raises:
        AnalyticsError: FIELD_MASK_INVALID, ETAG_MISMATCH or CONCURRENT_UPDATE.

    """
    _check_mask(fields, SWITCH_FIELDS)
    current = await store.switches(tx, origin.org)
    _check_etag(etag, current.revision)
    changed = replace(current, **{name: getattr(wanted, name) for name in fields})
    if not await store.save_switches(tx, origin.org, changed):
        raise _concurrent()
    details = {name: str(getattr(changed, name)).lower() for name in fields}
    await audit.record(tx, origin, Act("switches.updated", "organization", origin.org, details))
    return await store.switches(tx, origin.org)


def _check_mask(fields: Sequence[str], allowed: Sequence[str]) -> None:
    unknown = sorted(set(fields) - set(allowed))
    if unknown or not fields:
        description = f"names {', '.join(unknown) or 'no field'}; may name {', '.join(allowed)}"
        field = "update_mask"
        raise invalid_argument(field, description, Reason.FIELD_MASK_INVALID)


def _check_etag(etag: str, revision: int) -> None:
    if etag and etag != str(revision):
        raise AnalyticsError(Kind.ABORTED, Reason.ETAG_MISMATCH, "etag: the resource changed since it was read; read it again and retry")


def _concurrent() -> AnalyticsError:
    return AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another change came first; read again and retry")
