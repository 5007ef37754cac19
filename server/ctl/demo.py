"""`analyticsctl demo`: demo organizations with employees and a first model; a second run finds them and does nothing.

What always holds: everything goes through the public API with tokens of the demo organizations; data of an organization
that has some already is never touched.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from analytics.admin.v1.operations_service_pb2 import JobRun, JobRunState
from analytics.v1.fact_service_pb2 import ListFactSetsRequest
from analytics.v1.fact_service_pb2_grpc import FactServiceStub
from analytics.v1.models_pb2 import Model, ModelState, ModelType
from analytics.v1.tenant_service_pb2 import CompanySizeRange, OrganizationProfile, UpdateOrganizationProfileRequest
from analytics.v1.tenant_service_pb2_grpc import TenantServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from server.ctl.connection import Connection
from server.ctl.demo_organizations import ORGANIZATIONS, DemoOrganization
from server.ctl.failures import CtlFailure, read_status
from server.ctl.models import list_models
from server.ctl.program import JsonOption, start
from server.ctl.render import as_dict, decimal, print_json, say
from server.ctl.training import begin, states

TURNOVER = ModelType.MODEL_TYPE_TURNOVER_PREDICTION
_OWNER_ROLES = ("owner", "admin", "analyst", "viewer")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What one organization has; `rows` is 0 when the data was there before."""

    organization: DemoOrganization
    rows: int


def demo(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    *,
    key_file: Annotated[Path, typer.Option(help="PEM file of the private key that signs tokens.", show_default=False)],
    kid: Annotated[str, typer.Option(help="Id of that key in the server's JWKS.", show_default=False)],
    issuer: Annotated[str, typer.Option(help="`iss` of the tokens.")] = "analytics-dev",
    audience: Annotated[str, typer.Option(help="`aud` of the tokens.")] = "analytics",
    wait: Annotated[float, typer.Option(min=1, max=3600, help="Seconds to wait for the training.")] = 300.0,
    connect_timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds to wait for the server to answer.")] = 30.0,
    json_output: JsonOption = False,
) -> None:
    """Load the demo organizations and train a first turnover model, unless both are there.

    For development: it signs tokens with the server's own development key.
    """
    # Costs 0.1 s of start, which no other command needs.
    from server.ctl.demo_tokens import load_signer  # noqa: PLC0415

    session = start(ctx, json_output=json_output)
    tell: Callable[[str], None] = (lambda _: None) if json_output else say
    signer = load_signer(key_file, kid, issuer, audience)
    owners = {
        organization.org_id: session.with_token(signer.token("demo-owner", _OWNER_ROLES, organization.org_id))
        for organization in ORGANIZATIONS
    }
    first = Connection(session.channel, session.address, signer.token("demo-owner", _OWNER_ROLES, ORGANIZATIONS[0].org_id), connect_timeout)
    first.unary(FactServiceStub(first.channel).ListFactSets, ListFactSetsRequest(), wait_for_server=True)
    loaded = [_load(owners[organization.org_id], organization, tell) for organization in ORGANIZATIONS]
    admin = owners[ORGANIZATIONS[0].org_id]
    model = _active(admin)
    trained = model is None
    if model is None:
        _train(session.with_token(signer.token("demo-operator", ("operator",))), wait, tell)
        model = _active(admin)
        if model is None:
            msg = "the training completed, and yet no turnover model is ACTIVE"
            raise CtlFailure(msg)
    _report(loaded, model, trained=trained, json_output=json_output)


def _report(loaded: list[_Loaded], model: Model, *, trained: bool, json_output: bool) -> None:
    if json_output:
        rows = {item.organization.org_id: item.rows for item in loaded}
        print_json({"organizations": list(rows), "rows_loaded": rows, "trained": trained, "model": as_dict(model)})
        return
    done = "loaded" if any(item.rows for item in loaded) else "found"
    quality = f", ROC AUC {decimal(model.classification.roc_auc)}" if model.HasField("classification") else ""
    say(f"demo: {len(loaded)} organizations {done}; turnover_prediction {model.version} is ACTIVE{quality}")


def _load(connection: Connection, organization: DemoOrganization, tell: Callable[[str], None]) -> _Loaded:
    facts = connection.unary(FactServiceStub(connection.channel).ListFactSets, ListFactSetsRequest())
    if any(item.rows for item in facts.fact_sets):
        return _Loaded(organization, 0)
    # The validator costs 0.1 s of start, which a second run does not need.
    from server.ctl.demo_data import employees  # noqa: PLC0415
    from server.ctl.fact_files import EMPLOYEES  # noqa: PLC0415
    from server.ctl.fact_rows import Checked, Packer  # noqa: PLC0415
    from server.ctl.ingest import send  # noqa: PLC0415

    profile = OrganizationProfile(
        display_name=organization.display_name,
        industry=organization.industry,
        size_range=CompanySizeRange.COMPANY_SIZE_RANGE_201_TO_1000,
    )
    request = UpdateOrganizationProfileRequest(
        profile=profile, update_mask=FieldMask(paths=["display_name", "industry", "size_range"]), request_id=str(uuid.uuid4())
    )
    connection.unary(TenantServiceStub(connection.channel).UpdateOrganizationProfile, request)
    checked = Checked()
    packer = Packer(checked, EMPLOYEES)
    for number, employee in enumerate(employees(organization), start=1):
        packer.add(employee, number)
    packer.flush()
    outcome = send(connection, checked.batches)
    if outcome.problems:
        first = outcome.problems[0]
        msg = f"{organization.org_id}: the server refused demo row {first.line}, {first.field}: {first.reason}"
        raise CtlFailure(msg)
    tell(f"demo: {organization.org_id}: {outcome.inserted} rows of {organization.display_name}")
    return _Loaded(organization, checked.valid_rows)


def _active(connection: Connection) -> Model | None:
    found = list_models(connection, TURNOVER, ModelState.MODEL_STATE_ACTIVE, 1)
    return found[0] if found else None


def _train(operator: Connection, wait: float, tell: Callable[[str], None]) -> JobRun:
    run = begin(operator, TURNOVER, attach=True)
    began, told = time.monotonic(), ""
    for run in states(operator, run.id, within=wait):  # noqa: B020 - its first state is replaced by later ones
        line = f"{run.progress:.0%} {run.message}".strip()
        if line != told:
            tell(f"demo: training turnover_prediction: {line}")
            told = line
    if run.state == JobRunState.JOB_RUN_STATE_FAILED:
        refusal = read_status(run.error)
        msg = f"the training failed ({refusal.reason or refusal.code}): {refusal.message}"
        raise CtlFailure(msg, hint=refusal.hint)
    tell(f"demo: trained in {time.monotonic() - began:.1f} s")
    return run
