"""`analyticsctl profile`, `switches` and `audit`: the organization itself."""

import uuid
from typing import Annotated

import typer
from analytics.v1.tenant_service_pb2 import (
    AuditEntry,
    CompanySizeRange,
    GetOrganizationProfileRequest,
    GetSwitchesRequest,
    Industry,
    ListAuditEntriesRequest,
    OrganizationProfile,
    Switches,
    UpdateOrganizationProfileRequest,
    UpdateSwitchesRequest,
)
from analytics.v1.tenant_service_pb2_grpc import TenantServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from server.ctl.failures import BadInput
from server.ctl.paging import PAGE, all_pages, enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import as_dict, print_facts, print_json, print_table, when
from server.ctl.values import FieldKind, FieldSpec, Unreadable, named, read, shown

profile_app = typer.Typer(help="What the organization says of itself.")
switches_app = typer.Typer(help="What the organization allows.")

_SWITCHES = ("pooled_training", "benchmark_contribution", "retain_prediction_inputs")


@profile_app.callback(invoke_without_command=True)
def profile(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """Show the organization's profile. `profile set` changes it."""
    if ctx.invoked_subcommand is None:
        connection = start(ctx, json_output=json_output).tenant
        stub = TenantServiceStub(connection.channel)
        answer = connection.unary(stub.GetOrganizationProfile, GetOrganizationProfileRequest())
        _show_profile(answer.profile, json_output=json_output)


@profile_app.command("set")
def set_profile(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    *,
    display_name: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    industry: Annotated[str, typer.Option(help="technology, healthcare, finance, manufacturing, retail, professional_services.")] = "",
    size: Annotated[str, typer.Option(help="1_to_49, 50_to_200, 201_to_1000, 1001_to_5000, 5001_and_more.")] = "",
    etag: Annotated[str, typer.Option(help="Refuse when the profile changed since this etag was read.")] = "",
    json_output: JsonOption = False,
) -> None:
    """Change the organization's profile. Roles: admin, owner."""
    session = start(ctx, json_output=json_output)
    changed, paths = OrganizationProfile(etag=etag), []
    if display_name is not None:
        changed.display_name = display_name
        paths.append("display_name")
    if industry:
        changed.industry = Industry.ValueType(enum_filter(Industry.DESCRIPTOR, "--industry", industry))
        paths.append("industry")
    if size:
        changed.size_range = CompanySizeRange.ValueType(enum_filter(CompanySizeRange.DESCRIPTOR, "--size", size))
        paths.append("size_range")
    if not paths:
        msg = "give at least one of --display-name, --industry, --size"
        raise BadInput(msg)
    request = UpdateOrganizationProfileRequest(profile=changed, update_mask=FieldMask(paths=paths), request_id=str(uuid.uuid4()))
    answer = session.tenant.unary(TenantServiceStub(session.tenant.channel).UpdateOrganizationProfile, request)
    _show_profile(answer.profile, json_output=json_output)


@switches_app.callback(invoke_without_command=True)
def switches(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """Show the organization's switches. `switches set NAME=on` changes them."""
    if ctx.invoked_subcommand is None:
        connection = start(ctx, json_output=json_output).tenant
        answer = connection.unary(TenantServiceStub(connection.channel).GetSwitches, GetSwitchesRequest())
        _show_switches(answer.switches, json_output=json_output)


@switches_app.command("get")
def get_switches(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """Show the organization's switches."""
    connection = start(ctx, json_output=json_output).tenant
    answer = connection.unary(TenantServiceStub(connection.channel).GetSwitches, GetSwitchesRequest())
    _show_switches(answer.switches, json_output=json_output)


@switches_app.command("set")
def set_switches(
    ctx: typer.Context,
    values: Annotated[list[str], typer.Argument(metavar="NAME=on|off...", help=f"Of {', '.join(_SWITCHES)}.", show_default=False)],
    *,
    etag: Annotated[str, typer.Option(help="Refuse when the switches changed since this etag was read.")] = "",
    json_output: JsonOption = False,
) -> None:
    """Change switches, at once. Role: owner."""
    session = start(ctx, json_output=json_output)
    changed, paths = Switches(etag=etag), []
    for text in values:
        name, _, value = text.partition("=")
        setattr(changed, _switch(name), _on(name, value))
        paths.append(_switch(name))
    request = UpdateSwitchesRequest(switches=changed, update_mask=FieldMask(paths=paths), request_id=str(uuid.uuid4()))
    answer = session.tenant.unary(TenantServiceStub(session.tenant.channel).UpdateSwitches, request)
    _show_switches(answer.switches, json_output=json_output)


def audit(
    ctx: typer.Context,
    *,
    action: Annotated[str, typer.Option(help="Only this action, for example prediction.requested.")] = "",
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List the organization's audit log, newest first. Roles: admin, owner."""
    connection = start(ctx, json_output=json_output).tenant
    stub = TenantServiceStub(connection.channel)

    def page(size: int, token: str) -> tuple[list[AuditEntry], str]:
        answer = connection.unary(stub.ListAuditEntries, ListAuditEntriesRequest(action=action, page_size=size, page_token=token))
        return list(answer.entries), answer.next_page_token

    found = all_pages(page, limit)
    if json_output:
        print_json({"entries": [as_dict(entry) for entry in found]})
        return
    rows = [
        (
            when(entry.time),
            entry.actor,
            entry.action,
            f"{entry.resource_type} {entry.resource_id}".strip(),
            ", ".join(f"{name}={value}" for name, value in sorted(entry.details.items())),
            entry.request_id,
        )
        for entry in found
    ]
    print_table("", ["time", "actor", "action", "resource", "details", "request id"], rows)


def _switch(name: str) -> str:
    known = name.strip().replace("-", "_")
    if known not in _SWITCHES:
        msg = f"{shown(name)} is none of {', '.join(_SWITCHES)}"
        raise BadInput(msg)
    return known


def _on(name: str, text: str) -> bool:
    try:
        value = read(FieldSpec(name, FieldKind.FLAG), text)
    except Unreadable as error:
        msg = f"{name}: {error}"
        raise BadInput(msg) from None
    if value is None:
        msg = f"{name}: say on or off, for example {name}=on"
        raise BadInput(msg)
    return bool(value)


def _show_profile(found: OrganizationProfile, *, json_output: bool) -> None:
    if json_output:
        print_json(found)
        return
    facts = [
        ("name", found.display_name or "(not set)"),
        ("industry", named(Industry.DESCRIPTOR, found.industry)),
        ("size", named(CompanySizeRange.DESCRIPTOR, found.size_range)),
        ("etag", found.etag),
        ("changed", when(found.update_time)),
    ]
    print_facts("", facts)


def _show_switches(found: Switches, *, json_output: bool) -> None:
    if json_output:
        print_json(found)
        return
    facts = [(name, "on" if getattr(found, name) else "off") for name in _SWITCHES]
    print_facts("", [*facts, ("etag", found.etag), ("changed", when(found.update_time))])
