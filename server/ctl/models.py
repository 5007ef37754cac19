"""`analyticsctl models`."""

from typing import Annotated

import typer
from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.models_pb2 import ListModelsRequest, Model, ModelState, ModelType

from server.ctl.connection import Connection
from server.ctl.paging import PAGE, all_pages, enum_filter
from server.ctl.program import JsonOption, LimitOption, start
from server.ctl.render import as_dict, print_json
from server.ctl.show import print_models


def models(
    ctx: typer.Context,
    *,
    type_: Annotated[str, typer.Option("--type", help="Only this model type, for example turnover.")] = "",
    state: Annotated[str, typer.Option(help="Only this state: training, active, deprecated, failed.")] = "",
    limit: LimitOption = PAGE,
    json_output: JsonOption = False,
) -> None:
    """List versions of the shared models with their metrics, newest first. Roles: admin, owner."""
    session = start(ctx, json_output=json_output)
    found = list_models(
        session.tenant,
        ModelType.ValueType(enum_filter(ModelType.DESCRIPTOR, "--type", type_)),
        ModelState.ValueType(enum_filter(ModelState.DESCRIPTOR, "--state", state)),
        limit,
    )
    if json_output:
        print_json({"models": [as_dict(model) for model in found]})
    else:
        print_models(found)


def list_models(connection: Connection, kind: ModelType.ValueType, state: ModelState.ValueType, limit: int) -> list[Model]:
    """Model versions, newest first; type and state 0 mean all."""
    stub = AnalyticsServiceStub(connection.channel)

    def page(size: int, token: str) -> tuple[list[Model], str]:
        answer = connection.unary(stub.ListModels, ListModelsRequest(type=kind, state=state, page_size=size, page_token=token))
        return list(answer.models), answer.next_page_token

    return all_pages(page, limit)
