"""`analyticsctl queue`: a table for people, JSON for scripts, again and again with --watch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from analytics.admin.v1 import operations_service_pb2 as pb

from server.ctl import queue
from server.ctl.connection import Connection, open_channel
from server.ctl.failures import ExitCode, Refusal, Refused
from tests.ctl.terminal import Terminal
from tests.queue.simulation import add_jobs, add_model
from tests.support import environment
from tests.support.live import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.ctl.conftest import Ctl
    from tests.support.databases import Cluster

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
async def terminal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    """A service without a worker, which starts nothing, with jobs of three organizations."""
    folder = tmp_path_factory.mktemp("ctl-queue")
    database = await cluster.create_database()
    settings = environment.settings(cluster, database, predictions_in_all=1, prediction_starts_per_minute=1)
    await add_jobs(cluster, database, await add_model(cluster, database), [("small", 1), ("large", 30), ("middle", 7)])
    async with running(settings, folder, worker=False) as service:
        yield Terminal(service, folder)
    await cluster.drop_database(database)


async def test_the_table_shows_figures_limits_and_the_organizations_with_most_waiting_first(terminal: Terminal) -> None:
    ended = await terminal("queue")
    assert ended.code == 0, ended.err
    for words in ("waiting", "due, 0 later", "oldest", "1 running, 1 starts in 60 s, 1000000 waiting", "2 running, 10000 waiting"):
        assert words in ended.out
    assert ended.out.index("large") < ended.out.index("middle")


async def test_json_has_every_figure_and_as_many_organizations_as_asked_for(terminal: Terminal) -> None:
    answer = (await terminal("queue", "--json", "--limit", "1")).answer
    assert [each["org_id"] for each in answer["organizations"]] == ["large"]
    # One of the 38 may run by now.
    assert int(answer["waiting_due"]) + int(answer["running"]) == 38
    assert answer["limits"]["per_organization"] == {"running": 2, "starts_per_minute": 0, "waiting": 10_000}
    everything = (await terminal("queue", "--json", "--limit", "0")).answer
    assert len(everything["organizations"]) == 3
    assert everything["next_page_token"] == ""


async def test_a_tenants_token_does_not_show_the_queue(terminal: Terminal) -> None:
    assert (await terminal("queue", "--profile", "tenant", "--json")).error["reason"] == "ROLE_REQUIRED"


def test_a_server_that_is_not_there_is_exit_code_3(ctl: Ctl) -> None:
    assert ctl("queue", "--address", NOBODY, "--token", "x").exit_code == ExitCode.UNREACHABLE
    assert ctl("queue", "--every", "0").exit_code == ExitCode.BAD_INPUT


def test_a_watch_prints_a_line_per_look_and_ends_well_when_it_is_interrupted(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(_connection: Connection, _limit: int, _every: float) -> Iterator[pb.GetPredictionQueueResponse]:
        for waiting in (5, 4):
            yield pb.GetPredictionQueueResponse(waiting_due=waiting)
        raise KeyboardInterrupt

    monkeypatch.setattr(queue, "looks", looks)
    ended = ctl("queue", "--watch", "--json", "--token", "x")
    assert ended.exit_code == 0
    assert [json.loads(line)["waiting_due"] for line in ended.stdout.splitlines()] == ["5", "4"]
    table = ctl("queue", "--watch", "--token", "x")
    assert (table.exit_code, "stopped" in table.stderr) == (0, True)
    assert table.stdout.index("5 due") < table.stdout.index("4 due")


def test_a_watch_goes_on_over_a_restart_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Refused(Refusal("UNAVAILABLE", "gone", retry_after=1.0), ExitCode.REFUSED)
    answers: list[int | Refused] = [3, gone, gone, 2]
    pauses: list[float] = []

    def look(_connection: Connection, _limit: int) -> pb.GetPredictionQueueResponse:
        answer = answers.pop(0)
        if isinstance(answer, Refused):
            raise answer
        return pb.GetPredictionQueueResponse(waiting_due=answer)

    monkeypatch.setattr(queue, "look", look)
    channel = open_channel(NOBODY, "")
    shown = queue.looks(Connection(channel, NOBODY, "x"), 20, 2.0, pauses.append)
    assert [next(shown).waiting_due, next(shown).waiting_due] == [3, 2]
    assert pauses == [2.0, 1.0, 1.0]
    channel.close()
