"""`analyticsctl events`: follow the organization's events, publish some, list the types there are."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from analytics.events.v1.envelope_pb2 import Envelope
from analytics.events.v1.event_options_pb2 import EVENT_DIRECTION_OUT
from analytics.events.v1.event_service_pb2 import (
    EventType,
    ListEventTypesRequest,
    PublishEventsItem,
    PublishEventsRequest,
    StreamEventsRequest,
    StreamEventsResponse,
)
from analytics.events.v1.event_service_pb2_grpc import EventServiceStub
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from server.ctl.connection import Connection
from server.ctl.cursors import CursorFile
from server.ctl.failures import BadInput, ExitCode, read_status
from server.ctl.program import JsonOption, start
from server.ctl.render import note, plain, print_json, print_table, when
from server.ctl.watching import Followed, follow

app = typer.Typer(no_args_is_help=True, help="What happened in the organization, and what others tell it.")

_BATCH = 500


@dataclass(slots=True)
class _Tail:
    """A stream that is opened again after the last message, and what it asks for."""

    connection: Connection
    request: StreamEventsRequest

    def open(self, _revision: int, seconds: float) -> Iterator[StreamEventsResponse]:
        """Open the stream at the present cursor."""
        stub = EventServiceStub(self.connection.channel)
        with self.connection.calling() as metadata:
            yield from stub.StreamEvents(self.request, metadata=metadata, timeout=seconds)


@app.command()
def tail(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    *,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this type, or `prediction.*`; may be given again.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metric", help="Only events about this metric; may be given again.")] = None,
    cursor_file: Annotated[
        Path | None, typer.Option(help="Remember the place here after each event, and go on from it at the next start.")
    ] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Without a remembered place: begin with the oldest kept event.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many events; 0 means never.")] = 0,
    json_output: JsonOption = False,
) -> None:
    """Print events as they come, a line each, until Ctrl-C.

    With --cursor-file a restart goes on where it stopped and repeats nothing. Where the output is a file that holds whenever
    the process was killed; into a pipe or a terminal a kill -9 may repeat one event.
    """
    session = start(ctx, json_output=json_output)
    kept = CursorFile(cursor_file, sys.stdout) if cursor_file is not None else None
    request = StreamEventsRequest(
        cursor=kept.read() if kept is not None else "", types=types or [], metric_keys=metrics or [], from_start=from_start
    )
    source, printed = _Tail(session.tenant, request), 0
    try:
        for message in follow(Followed(source.open, lambda message: message.event.sequence, lambda _: False)):
            with _undisturbed():
                _deal_with(message, request.cursor, kept, json_output=json_output)
                request.cursor = message.cursor
            printed += message.HasField("event")
            if limit and printed >= limit:
                return
    except KeyboardInterrupt:
        if not json_output:
            note("stopped")


@app.command("types")
def types_(ctx: typer.Context, *, json_output: JsonOption = False) -> None:
    """List the types of events that are sent and taken."""
    connection = start(ctx, json_output=json_output).tenant
    answer = connection.unary(EventServiceStub(connection.channel).ListEventTypes, ListEventTypesRequest())
    if json_output:
        print_json(answer)
    else:
        print_table("", ["type", "direction", "payload"], [(each.type, _direction(each), each.payload) for each in answer.types])


@app.command()
def publish(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON: an event, or a list of them; `-` reads standard input.")],
    *,
    json_output: JsonOption = False,
) -> None:
    """Publish events, at most 500 in a call. Exit code 1 when one was refused."""
    session = start(ctx, json_output=json_output)
    events = _events(file)
    connection = session.tenant
    stub = EventServiceStub(connection.channel)
    items: list[PublishEventsItem] = []
    for begin in range(0, len(events), _BATCH):
        answer = connection.unary(stub.PublishEvents, PublishEventsRequest(events=events[begin : begin + _BATCH]))
        items += answer.items
    if json_output:
        print_json({"items": [MessageToDict(item, preserving_proto_field_name=True) for item in items]})
    else:
        print_table("", ["id", "outcome", "job", "why"], [_row(event, item) for event, item in zip(events, items, strict=True)])
    if any(item.HasField("error") for item in items):
        raise typer.Exit(ExitCode.REFUSED)


def _deal_with(message: StreamEventsResponse, before: str, kept: CursorFile | None, *, json_output: bool) -> None:
    if not message.HasField("event"):
        if kept is not None:
            kept.move(message.cursor)
        return
    line = _json_line(message) if json_output else _line(message.event)
    if kept is not None:
        kept.print(line, before, message.cursor)
    else:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until an event is printed and its place is remembered."""
    came: list[int] = []

    def later(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, later) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _json_line(message: StreamEventsResponse) -> str:
    content = MessageToDict(message.event, preserving_proto_field_name=True)
    return json.dumps({**content, "cursor": message.cursor}, ensure_ascii=True)


def _line(event: Envelope) -> str:
    field = event.WhichOneof("payload")
    payload = MessageToDict(getattr(event, field), preserving_proto_field_name=True) if field else {}
    facts = " ".join(f"{name}={value}" for name, value in payload.items())
    return plain(f"{event.sequence}  {when(event.occur_time)}  {event.type}  {event.subject}  {facts}".rstrip())


def _direction(kind: EventType) -> str:
    return "sent" if kind.direction == EVENT_DIRECTION_OUT else "taken"


def _row(event: Envelope, item: PublishEventsItem) -> tuple[str, str, str, str]:
    if item.HasField("error"):
        refusal = read_status(item.error)
        return event.id, "refused", "", f"{refusal.reason}: {refusal.message}"
    accepted = item.accepted
    return event.id, "known already" if accepted.duplicate else "accepted", accepted.prediction.job_id, ""


def _events(file: Path) -> list[Envelope]:
    """Read the events of a file.

    Raises:
        BadInput: it cannot be read, or is not JSON of events.

    """
    name = "standard input" if str(file) == "-" else str(file)
    try:
        content = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"cannot read {name}: {error.strerror}"
        raise BadInput(msg) from error
    except ValueError as error:
        msg = f"{name} is not JSON: {error}"
        raise BadInput(msg) from error
    documents = content if isinstance(content, list) else [content]
    if not documents:
        msg = f"{name} holds no events"
        raise BadInput(msg)
    events = []
    for index, document in enumerate(documents):
        if not isinstance(document, dict):
            msg = f"{name}: event {index} is no object"
            raise BadInput(msg)
        try:
            events.append(ParseDict(document, Envelope()))
        except ParseError as error:
            msg = f"{name}: event {index} is none: {error}"
            raise BadInput(msg) from error
    return events
