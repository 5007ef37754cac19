"""Fail points: named once, passed at one place each, silent outside of tests, and whatever is raised there is survived."""

from __future__ import annotations

import ast
import asyncio
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest

from server import failpoints
from server.failpoints import FailPointReached, FailPointsRefused, parse
from tests.chaos import history
from tests.chaos.load import AFRESH, Load
from tests.contract.sources import ROOT, Source, calls, python_files

if TYPE_CHECKING:
    from tests.support.stack import Stack

pytestmark = pytest.mark.xdist_group("chaos")
GENERATED = str(ROOT / "generated")


def places(*sources: Source) -> list[str]:
    """The names at which the sources mark a fail point, one per place."""
    return [
        ast.literal_eval(call.args[0]) if isinstance(call.args[0], ast.Constant) else ast.unparse(call.args[0])
        for source in sources
        for call, name in calls(source)
        if name == "failpoints.passing"
    ]


def test_every_fail_point_is_passed_at_exactly_one_place() -> None:
    assert sorted(places(*python_files("server", "workers"))) == sorted(failpoints.NAMES)


def test_control_a_place_without_a_name_and_a_name_at_two_places_are_seen() -> None:
    twice = Source("server/a.py", "async def f():\n    await failpoints.passing('bell.rung')\n    await failpoints.passing('bell.rung')")
    assert places(twice) == ["bell.rung"] * 2
    assert places(Source("server/a.py", "async def f(x):\n    await failpoints.passing(x)")) == ["x"]


@pytest.mark.parametrize("wanted", ["worker.vanished=kill", "bell.rung", "bell.rung=explode", "bell.rung=kill@0", "bell.rung=hold"])
def test_what_is_no_fail_point_is_refused(wanted: str) -> None:
    with pytest.raises(FailPointsRefused, match="is no fail point"):
        parse({"ANALYTICS_TESTING": "1", "ANALYTICS_FAILPOINTS": wanted})


def test_a_process_outside_of_a_test_refuses_to_start_with_fail_points() -> None:
    for variables in ({}, {"ANALYTICS_TESTING": "yes"}):
        done = subprocess.run(
            [sys.executable, "-m", "server"],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                **variables,
                "ANALYTICS_FAILPOINTS": "bell.rung=kill",
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'generated'}",
            },
        )
        assert done.returncode == 1
        assert done.stderr.strip() == "ANALYTICS_FAILPOINTS is set, and fail points are for tests only (ANALYTICS_TESTING=1)"


async def test_a_fail_point_acts_once_at_the_passing_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_armed", parse({"ANALYTICS_TESTING": "1", "ANALYTICS_FAILPOINTS": "bell.rung=raise@2"}))
    await failpoints.passing("bell.rung")
    await failpoints.passing("sweep.done")
    with pytest.raises(FailPointReached):
        await failpoints.passing("bell.rung")
    await failpoints.passing("bell.rung")


async def test_an_error_that_nobody_expects_at_any_fail_point_loses_nothing_and_stops_nothing(bare: Stack) -> None:
    dice = random.Random(15)
    # INTERNAL leaves open what happened as well; with its request id a request may be made again.
    load = Load(bare, dice, requests_per_second=40, retried_codes=AFRESH | {grpc.StatusCode.INTERNAL})
    armed = {"ANALYTICS_FAILPOINTS": ",".join(f"{name}=raise@{dice.randint(1, 4)}" for name in sorted(failpoints.NAMES))}
    server, worker = await asyncio.gather(bare.server(**armed), bare.worker(**armed))
    asking = asyncio.create_task(load.run())
    await load.reached(200)
    load.stop()
    await asking
    await history.drained(bare, "load-%")
    async with history.connected(bare) as connection:
        verdict = history.judge(load.told, await history.observe(connection, "load-%"))
    assert verdict.faults == []
    assert not server.gone.is_set()
    assert not worker.gone.is_set()
    acted = {name for name in failpoints.NAMES if f'"failpoint":"{name}"' in server.said() + worker.said()}
    print(f"errors at fail points: {verdict.accepted} jobs, {len(acted)} points acted, retried {dict(load.retries)}")
    # Nothing is taken back here unless an error leaves a job behind, so the sweeper's two may not be passed.
    assert acted >= {name for name in failpoints.NAMES if not name.startswith(("sweep.", "schedule."))}
