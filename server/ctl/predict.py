"""`analyticsctl predict`: one prediction, asked for and waited for."""

import datetime
import json
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.employees_pb2 import EmployeeAttributes
from analytics.v1.models_pb2 import ModelType
from analytics.v1.predictions_pb2 import RequestPredictionRequest, TurnoverInput
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct

from server.ctl.csv_rows import STDIN
from server.ctl.failures import BadInput
from server.ctl.jobs import finish, wait_for
from server.ctl.mapping import attribute_field
from server.ctl.program import JsonOption, start
from server.ctl.render import note
from server.ctl.training import model_type
from server.ctl.values import Unreadable, read, shown


def predict(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL_TYPE", help="For example turnover.", show_default=False)],
    *,
    employee: Annotated[str, typer.Option("--employee", metavar="KEY", help="Take the features from this employee's latest state.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FEATURE=VALUE", help="Give a feature; wins over the stored one.")
    ] = None,
    features_json: Annotated[Path | None, typer.Option(help="File with a JSON object of features by name; - reads standard input.")] = None,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for the result.")] = 30.0,
    delay: Annotated[float, typer.Option(min=0, max=86400, help="Do not start it before so many seconds.")] = 0.0,
    json_output: JsonOption = False,
) -> None:
    """Ask for a prediction and show its result.

    Give --employee, --set (also both), or --features-json. Exit code 1 when the job failed; 0 when it still waits or runs
    after --wait seconds (the state says so).
    """
    session = start(ctx, json_output=json_output)
    kind = model_type(model)
    request = RequestPredictionRequest(model_type=kind, request_id=str(uuid.uuid4()))
    if features_json is not None:
        if employee or set_:
            msg = "--features-json stands alone: it cannot be combined with --employee or --set"
            raise BadInput(msg)
        request.features.CopyFrom(_features(features_json))
    elif kind != ModelType.MODEL_TYPE_TURNOVER_PREDICTION:
        msg = "only turnover_prediction has typed features; give others by --features-json"
        raise BadInput(msg)
    elif employee or set_:
        request.turnover.CopyFrom(_turnover(employee, set_ or []))
    else:
        msg = "give --employee KEY, --set FEATURE=VALUE or --features-json FILE"
        raise BadInput(msg)
    if delay:
        request.schedule_time.FromDatetime(datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(seconds=delay))
    connection = session.tenant
    answer = connection.unary(AnalyticsServiceStub(connection.channel).RequestPrediction, request)
    if answer.deduplicated and not json_output:
        note("The same input was predicted before; this is that job.")
    finish(wait_for(connection, answer.job_id, wait), json_output=json_output)


def _turnover(employee: str, texts: list[str]) -> TurnoverInput:
    turnover, attributes = TurnoverInput(employee_key=employee), EmployeeAttributes()
    for text in texts:
        name, separator, rest = text.partition("=")
        if not separator:
            msg = f"--set {shown(text)} is not of the form FEATURE=VALUE"
            raise BadInput(msg)
        spec = attribute_field(name.strip())
        try:
            value = read(spec, rest)
        except Unreadable as error:
            msg = f"--set {spec.name}: {error}"
            raise BadInput(msg) from None
        if value is not None:
            setattr(attributes, spec.name, value)
    if texts:
        turnover.attributes.CopyFrom(attributes)
    return turnover


def _features(path: Path) -> Struct:
    try:
        text = sys.stdin.read() if path == STDIN else path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise BadInput(msg) from error
    except ValueError as error:
        msg = f"{path} is not JSON: {error}"
        raise BadInput(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} must hold a JSON object of features by name"
        raise BadInput(msg)
    try:
        return ParseDict(content, Struct())
    except (ParseError, RecursionError) as error:
        msg = f"{path} does not fit a JSON object of features: {error}"
        raise BadInput(msg) from error


def _no_constant(name: str) -> float:
    msg = f"{name} is no JSON number"
    raise ValueError(msg)
