"""What the database cannot compute of the rows of one type is a defect of that type: it does not stop the others, nor come again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.db.engines import DbRole
from server.identity import RunId
from server.registry import store as registry
from server.registry.model import Evidence, ModelType
from server.registry.register import register_candidate
from server.schedule.model import Claim
from tests.support import runs, told, trained
from tests.support.leftovers import superuser
from tests.support.told import Told
from tests.support.working import working
from workers.retraining import retrain_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.db import ReadTx
    from tests.support.databases import Cluster
    from tests.support.live import Service

TURNOVER = ModelType.TURNOVER_PREDICTION
OVERFLOW = "SELECT power(10::double precision, 300 + n) * 1e300 FROM generate_series(0, 1) n"
LOST = "SELECT pg_terminate_backend(pg_backend_pid())"
DEFECT = "INTERNAL: a defect on our side ended the training"


@dataclass
class Failing(Told):
    """Rows that the database cannot read."""

    statement: str = OVERFLOW

    async def __call__(self, tx: ReadTx, /) -> Callable[[], Told]:
        """Fail."""
        await tx.all(text(self.statement))
        return lambda: self


def failing(monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    made = told.instead_of_training(monkeypatch)
    made[TURNOVER] = Failing(told.falling(), statement=statement)


async def retrain(service: Service) -> Mapping[str, Mapping[str, object]]:
    claim = Claim(RunId(uuid4()), "weekly_retraining", "all", uuid4(), "")
    result = await retrain_all(service.app, claim, lambda _share, _words: None)
    return {str(each["model_type"]): each for each in cast("Sequence[Mapping[str, object]]", result["types"])}


async def test_an_overflow_in_the_rows_of_one_type_is_told_in_its_line_and_the_others_go_on(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, OVERFLOW)
    came = await retrain(idle)
    assert (came[TURNOVER]["reason"], came[TURNOVER]["activated"]) == (DEFECT, False)
    assert {came[kind]["state"] for kind in ModelType if kind is not TURNOVER} == {"ACTIVE"}


async def test_control_a_lost_connection_ends_the_run_so_that_it_is_taken_again(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, LOST)
    with pytest.raises(DBAPIError):
        await retrain(idle)


async def test_a_number_that_json_has_not_is_refused_where_it_is_registered(idle: Service) -> None:
    fresh = await asyncio.to_thread(trained.made)
    infinite = replace(fresh, metrics={**fresh.metrics, "relative_error_median": float("inf")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        async with idle.app.db.platform(DbRole.TRAINER) as tx:
            await register_candidate(tx, uuid4(), infinite)
    active = await trained.activate(idle.app, fresh)
    assert active.version == "1.0.0"
    evidence = Evidence("all rows", 1_000, "mase_median", float("nan"), None, None, "", "")
    with pytest.raises(ValueError, match="not JSON compliant"):
        async with idle.app.db.platform(DbRole.TRAINER) as tx:
            await registry.prove(tx, active.model_id, evidence)


async def test_a_training_that_the_database_cannot_compute_is_not_repeated(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, OVERFLOW)
    run = await runs.start(idle)
    async with working(idle):
        failed = await runs.ended(idle, run.id)
    assert (failed.state, runs.reason(failed)) == (ops.JOB_RUN_STATE_FAILED, "INTERNAL")
    assert "double precision" not in failed.error.message
    async with superuser(cluster, idle) as connection:
        assert await connection.fetchval("SELECT attempt FROM job_runs WHERE run_id = $1", run.id) == 1
