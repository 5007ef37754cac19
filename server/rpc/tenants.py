"""TenantService: profile, switches, audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import tenant_service_pb2 as pb

from server.audit import store as audit
from server.rpc.once import once
from server.rpc.origins import origin
from server.rpc.pages import page_of
from server.tenants import store
from server.tenants.update import update_profile, update_switches
from server.wire import tenants as wire

if TYPE_CHECKING:
    from server.app import App
    from server.db import Tx
    from server.rpc.call import Call


class TenantRpcs:
    """The caller's organization."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def get_organization_profile(self, request: pb.GetOrganizationProfileRequest, call: Call) -> pb.GetOrganizationProfileResponse:
        """Read the profile."""
        del request
        async with self._app.read(call.caller.org) as tx:
            return pb.GetOrganizationProfileResponse(profile=wire.profile_message(await store.profile(tx, call.caller.org)))

    async def update_organization_profile(
        self, request: pb.UpdateOrganizationProfileRequest, call: Call
    ) -> pb.UpdateOrganizationProfileResponse:
        """Change the profile."""

        async def act(tx: Tx) -> pb.UpdateOrganizationProfileResponse:
            wanted, fields = wire.profile(request.profile), request.update_mask.paths
            changed = await update_profile(tx, origin(call), wanted, fields, request.profile.etag)
            return pb.UpdateOrganizationProfileResponse(profile=wire.profile_message(changed))

        return await once(self._app, call, request, pb.UpdateOrganizationProfileResponse, act)

    async def get_switches(self, request: pb.GetSwitchesRequest, call: Call) -> pb.GetSwitchesResponse:
        """Read the switches."""
        del request
        async with self._app.read(call.caller.org) as tx:
            return pb.GetSwitchesResponse(switches=wire.switches_message(await store.switches(tx, call.caller.org)))

    async def update_switches(self, request: pb.UpdateSwitchesRequest, call: Call) -> pb.UpdateSwitchesResponse:
        """Change the switches."""

        async def act(tx: Tx) -> pb.UpdateSwitchesResponse:
            wanted, fields = wire.switches(request.switches), request.update_mask.paths
            changed = await update_switches(tx, origin(call), wanted, fields, request.switches.etag)
            return pb.UpdateSwitchesResponse(switches=wire.switches_message(changed))

        return await once(self._app, call, request, pb.UpdateSwitchesResponse, act)

    async def list_audit_entries(self, request: pb.ListAuditEntriesRequest, call: Call) -> pb.ListAuditEntriesResponse:
        """List the audit log, newest first."""
        page = page_of(self._app.settings, call, request)
        async with self._app.read(call.caller.org) as tx:
            entries = await audit.page(tx, call.caller.org, request.action, page.before, page.size + 1)
        shown, token = page.cut(entries, lambda entry: (entry.at, entry.entry_id))
        return pb.ListAuditEntriesResponse(entries=[wire.entry_message(entry) for entry in shown], next_page_token=token)
