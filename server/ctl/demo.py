"""`analyticsctl demo`: demo organizations, the four models of their facts, insights and benchmarks; a second run does nothing.

What always holds: everything goes through the public API with tokens of the demo organizations; data of an organization
that has some already is never touched.
"""

import datetime
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from analytics.admin.v1.operations_service_pb2 import (
    DailyMetricsJob,
    JobRun,
    JobRunState,
    ListJobRunsRequest,
    MonthlyBenchmarksJob,
    RunJobRequest,
    WeeklyRetrainingJob,
)
from analytics.admin.v1.operations_service_pb2_grpc import OperationsServiceStub
from analytics.v1.fact_service_pb2 import FactSet, ListFactSetsRequest
from analytics.v1.fact_service_pb2_grpc import FactServiceStub
from analytics.v1.models_pb2 import Model, ModelState, ModelType
from analytics.v1.tenant_service_pb2 import OrganizationProfile, UpdateOrganizationProfileRequest
from analytics.v1.tenant_service_pb2_grpc import TenantServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from server.ctl.connection import Connection
from server.ctl.demo_crowd import chosen
from server.ctl.demo_organizations import ORGANIZATIONS, DemoOrganization
from server.ctl.failures import CtlFailure, read_status
from server.ctl.models import list_models
from server.ctl.program import JsonOption, start
from server.ctl.render import as_dict, print_json, say
from server.ctl.training import begin_run, states
from server.ctl.values import named

Tell: TypeAlias = Callable[[str], None]

_AT_ONCE = 4
_TELL_EVERY = 50
_LOAD_SECONDS = 120.0
_TELL_SHARE = 0.25
FEWEST = 40
"""Fewer have not enough contracts, of which some went wrong, for a version of every type."""
_MODEL_TYPES = len(ModelType.values()) - 1
_JOBS = {
    "weekly_retraining": RunJobRequest(weekly_retraining=WeeklyRetrainingJob()),
    "daily_metrics": RunJobRequest(daily_metrics=DailyMetricsJob()),
    "monthly_benchmarks": RunJobRequest(monthly_benchmarks=MonthlyBenchmarksJob()),
}
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
    wait: Annotated[float, typer.Option(min=1, max=3600, help="Seconds to wait for each job.")] = 300.0,
    number: Annotated[
        int, typer.Option("--organizations", min=FEWEST, max=1000, help="How many; with fewer, fewer benchmarks can be shown.")
    ] = 414,
    connect_timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds to wait for the server to answer.")] = 30.0,
    json_output: JsonOption = False,
) -> None:
    """Load the demo organizations, train the four models, look for insights and make benchmarks, unless all is there.

    For development: it signs tokens with the server's own development key.
    """
    # Costs 0.1 s of start, which no other command needs.
    from server.ctl.demo_tokens import load_signer  # noqa: PLC0415

    session = start(ctx, json_output=json_output)
    tell: Tell = (lambda _: None) if json_output else say
    signer = load_signer(key_file, kid, issuer, audience)
    organizations = chosen(number)
    owners = {
        organization.org_id: session.with_token(signer.token("demo-owner", _OWNER_ROLES, organization.org_id))
        for organization in organizations
    }
    first = Connection(session.channel, session.address, signer.token("demo-owner", _OWNER_ROLES, ORGANIZATIONS[0].org_id), connect_timeout)
    first.unary(FactServiceStub(first.channel).ListFactSets, ListFactSetsRequest(), wait_for_server=True)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    loaded = _load_all(owners, organizations, today, tell)
    admin = owners[ORGANIZATIONS[0].org_id]
    operator = session.with_token(signer.token("demo-operator", ("operator",)))
    ran = _run_jobs(operator, admin, wait, tell, anew=any(item.rows for item in loaded))
    _report(loaded, _active(admin), ran, json_output=json_output)


def _report(loaded: list[_Loaded], models: Sequence[Model], ran: Sequence[str], *, json_output: bool) -> None:
    if json_output:
        rows = {item.organization.org_id: item.rows for item in loaded}
        print_json(
            {"organizations": list(rows), "rows_loaded": rows, "jobs_run": list(ran), "models": [as_dict(model) for model in models]}
        )
        return
    done = "loaded" if any(item.rows for item in loaded) else "found"
    active = ", ".join(f"{named(ModelType.DESCRIPTOR, model.type)} {model.version}" for model in models)
    say(f"demo: {len(loaded)} organizations {done}; ACTIVE: {active}")


def _load_all(
    owners: Mapping[str, Connection], organizations: Sequence[DemoOrganization], today: datetime.date, tell: Tell
) -> list[_Loaded]:
    """Load organizations side by side; the server writes one while the next is made up."""
    loaded: list[_Loaded] = []
    rows = told = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for item in pool.map(lambda organization: _load(owners[organization.org_id], organization, today), organizations):
            loaded.append(item)
            rows += item.rows
            if item.rows and len(loaded) - told >= _TELL_EVERY:
                told = len(loaded)
                tell(f"demo: {told} of {len(organizations)} organizations, {rows:,} rows")
    return loaded


def _load(connection: Connection, organization: DemoOrganization, today: datetime.date) -> _Loaded:
    facts = connection.unary(FactServiceStub(connection.channel).ListFactSets, ListFactSetsRequest())
    # Reviews are what is loaded last: an organization that lacks them was cut off, and what is there already is not written again.
    if any(item.rows for item in facts.fact_sets if item.fact_set == FactSet.FACT_SET_PERFORMANCE_REVIEWS):
        return _Loaded(organization, 0)
    # The generators cost 0.1 s of start, which a second run does not need.
    from server.ctl.demo_facts import requests  # noqa: PLC0415

    profile = OrganizationProfile(
        display_name=organization.display_name, industry=organization.industry, size_range=organization.size_range
    )
    request = UpdateOrganizationProfileRequest(
        profile=profile, update_mask=FieldMask(paths=["display_name", "industry", "size_range"]), request_id=str(uuid.uuid4())
    )
    connection.unary(TenantServiceStub(connection.channel).UpdateOrganizationProfile, request)
    with connection.calling() as metadata:
        answer = FactServiceStub(connection.channel).IngestFacts(requests(organization, today), metadata=metadata, timeout=_LOAD_SECONDS)
    for batch in answer.batches:
        for error in batch.errors[:1]:
            msg = f"{organization.org_id}: the server refused row {error.row} of batch {batch.batch}, {error.field}: {error.description}"
            raise CtlFailure(msg)
    return _Loaded(organization, sum(batch.inserted + batch.updated for batch in answer.batches))


def _active(connection: Connection) -> list[Model]:
    return list_models(connection, ModelType.MODEL_TYPE_UNSPECIFIED, ModelState.MODEL_STATE_ACTIVE, _MODEL_TYPES)


def _run_jobs(operator: Connection, admin: Connection, wait: float, tell: Tell, *, anew: bool) -> list[str]:
    """Run what runs at night, in the order in which one needs the other; what ran before is run again when facts are new."""
    ran = []
    for name, request in _JOBS.items():
        if anew or not _ever_completed(operator, name):
            run = _run_job(operator, name, request, wait, tell)
            for each in run.weekly_retraining_result.types:
                if not each.activated:
                    tell(f"demo: {named(ModelType.DESCRIPTOR, each.model_type)} was not activated: {each.reason}")
            ran.append(name)
    missing = _MODEL_TYPES - len(_active(admin))
    if missing:
        msg = f"{missing} of {_MODEL_TYPES} model types have no ACTIVE version"
        raise CtlFailure(msg, hint="With more organizations (--organizations) there is more to learn from.")
    return ran


def _ever_completed(operator: Connection, job: str) -> bool:
    request = ListJobRunsRequest(kinds=[job], state=JobRunState.JOB_RUN_STATE_COMPLETED, page_size=1)
    return bool(operator.unary(OperationsServiceStub(operator.channel).ListJobRuns, request).runs)


def _run_job(operator: Connection, name: str, request: RunJobRequest, wait: float, tell: Tell) -> JobRun:
    run = begin_run(operator, request, attach=True)
    began, told = time.monotonic(), 0.0
    for run in states(operator, run.id, within=wait):  # noqa: B020 - its first state is replaced by later ones
        if run.progress - told >= _TELL_SHARE:
            told = run.progress
            tell(f"demo: {name}: {run.progress:.0%} {run.message}")
    if run.state == JobRunState.JOB_RUN_STATE_FAILED:
        refusal = read_status(run.error)
        msg = f"{name} failed ({refusal.reason or refusal.code}): {refusal.message}"
        raise CtlFailure(msg, hint=refusal.hint)
    tell(f"demo: {name} done in {time.monotonic() - began:.1f} s")
    return run
