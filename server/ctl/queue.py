"""`analyticsctl queue`: how the prediction queue stands."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer
from analytics.admin.v1.operations_service_pb2 import (
    GetPredictionQueueRequest,
    GetPredictionQueueResponse,
    OrganizationPredictionQueue,
    PredictionLimit,
)
from analytics.admin.v1.operations_service_pb2_grpc import OperationsServiceStub

from server.ctl.connection import Connection
from server.ctl.paging import all_pages
from server.ctl.program import JsonOption, start
from server.ctl.render import console, note, print_facts, print_json, print_table, when
from server.ctl.watching import Followed, follow

_TOP = 20


def queue(
    ctx: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks of --watch.")] = 2.0,
    limit: Annotated[
        int, typer.Option(min=0, help="How many organizations at most, those with the most waiting jobs first; 0 means all.")
    ] = _TOP,
    json_output: JsonOption = False,
) -> None:
    """Show what waits and runs in the prediction queue, the limits, and the organizations with the most waiting jobs.

    With --watch it goes on over restarts of the server and ends with exit code 0 on Ctrl-C; --json prints a line per look.
    """
    connection = start(ctx, json_output=json_output).operator
    if not watch:
        _show(look(connection, limit), json_output=json_output)
        return
    try:
        for found in looks(connection, limit, every):
            if console().is_terminal and not json_output:
                console().clear()
            _show(found, json_output=json_output, one_line=True)
    except KeyboardInterrupt:
        if not json_output:
            note("stopped")


def look(connection: Connection, limit: int) -> GetPredictionQueueResponse:
    """The queue with at most `limit` organizations, 0 for all; the totals are those of the first page."""
    stub = OperationsServiceStub(connection.channel)
    found = GetPredictionQueueResponse()

    def page(size: int, token: str) -> tuple[list[OrganizationPredictionQueue], str]:
        answer = connection.unary(stub.GetPredictionQueue, GetPredictionQueueRequest(page_size=size, page_token=token))
        if not token:
            found.CopyFrom(answer)
        return list(answer.organizations), answer.next_page_token

    organizations = all_pages(page, limit)
    del found.organizations[:]
    found.organizations.extend(organizations)
    found.next_page_token = ""
    return found


def looks(
    connection: Connection, limit: int, every: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[GetPredictionQueueResponse]:
    """The queue again and again, `every` so many seconds; a server that is away for less than a minute is waited for."""

    def stream(_revision: int, _seconds: float) -> Iterator[GetPredictionQueueResponse]:
        while True:
            yield look(connection, limit)
            sleep(every)

    return follow(Followed(stream, lambda _: 0, lambda _: False), sleep=sleep)


def _show(found: GetPredictionQueueResponse, *, json_output: bool, one_line: bool = False) -> None:
    if json_output:
        print_json(found, one_line=one_line)
        return
    limits = found.limits
    oldest = found.oldest_wait.ToTimedelta().total_seconds()
    facts: list[tuple[str, object]] = [
        ("time", when(found.time)),
        ("waiting", f"{found.waiting_due} due, {found.waiting_later} later"),
        ("running", found.running),
        ("started", f"{found.starts_last_minute} in the last 60 s"),
        ("oldest", f"due for {oldest:.1f} s" if found.HasField("oldest_wait") else "nothing is due"),
        ("limits in all", _limit(limits.in_all)),
        ("per type", _limit(limits.per_model_type)),
        ("per organization", _limit(limits.per_organization)),
    ]
    print_facts("", facts)
    rows = [(each.org_id, each.waiting, each.running, when(each.last_start_time)) for each in found.organizations]
    if rows:
        print_table("", ["organization", "waiting #", "running #", "last start"], rows)


def _limit(limit: PredictionLimit) -> str:
    parts = [
        (limit.running, "running"),
        (limit.starts_per_minute, "starts in 60 s"),
        (limit.waiting, "waiting"),
    ]
    return ", ".join(f"{number} {what}" for number, what in parts if number) or "none"
