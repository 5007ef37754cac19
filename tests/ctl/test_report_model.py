"""`analyticsctl report model`: how good a version is, and how it compares with the one before."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from analytics.v1.models_pb2 import ModelState
from analytics.v1.models_pb2 import ModelType as ModelKind

from server.ctl.connection import Connection
from server.ctl.models import list_models
from server.ctl.report import classifier, of_model, versions
from server.ml.forecast_evaluation import of_forecasts
from server.ml.forecast_metrics import Points
from server.ml.importance import Importance
from server.registry.model import Evidence, ModelType
from tests.ctl.test_report_pages import PNG, stands_alone
from tests.support import credentials, trained
from tests.support.leftovers import superuser
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from typer.testing import Result

    from tests.ctl.conftest import Ctl
    from tests.support.databases import Cluster
    from tests.support.live import Service

    Ran = Callable[..., Awaitable[Result]]

HOSTILE = "rows <script>alert(1)</script> of held-out subjects"


def spend() -> dict[str, object]:
    """What there is to draw of made-up forecasts of twelve series, a year ahead."""
    generator = np.random.default_rng(3)
    series, ahead = np.repeat(np.arange(12), 12), np.tile(np.arange(1, 13), 12)
    truth = 100 + 10 * generator.normal(size=144)
    points = Points(
        series, truth, np.tile([88.0, 100.0, 112.0], (144, 1)), np.stack([truth - 20, truth + 12, truth + 30], axis=1), np.full(144, 10.0)
    )
    evaluation: dict[str, object] = json.loads(json.dumps(of_forecasts(points, ahead, (Importance("trend", 0.1, None),)).to_json()))
    return evaluation


def found_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service with three turnover versions, the first without an evaluation, and one of spend."""
    async with shared_service(cluster, tmp_path_factory.mktemp("ctl-report"), model=False, worker=False) as service:
        made = await asyncio.to_thread(trained.made)
        await trained.activate(service.app, made)
        async with superuser(cluster, service) as connection:
            await connection.execute("DELETE FROM shared_model_evaluations")
        for _ in range(2):
            await trained.activate(service.app, made)
        forecast = {
            "series": 12, "points": 144, "mase_median": 0.8, "mase_mean": 0.9, "better_share": 0.75, "coverage": 0.77,
            "naive_mase_median": 1.2,
        }  # fmt: skip
        await trained.activate(service.app, replace(made, type=ModelType.SPEND_FORECASTING, metrics=forecast, evaluation=spend()))
        evidence = Evidence(HOSTILE, 60, "brier_score", 0.09, 0.13, 0.1, "1.1.0", "")
        async with superuser(cluster, service) as connection:
            statement = "UPDATE shared_models SET evidence = $1::jsonb WHERE version = '1.2.0' AND type = 'turnover_prediction'"
            await connection.execute(statement, json.dumps({name: getattr(evidence, name) for name in evidence.__slots__}))
        yield service


@pytest.fixture
def ran(shared: Service, ctl: Ctl) -> Ran:
    """Runs `analyticsctl report model` beside the service."""

    async def run(*words: str, role: str = "admin") -> Result:
        variables = {"ANALYTICSCTL_ADDRESS": shared.address, "ANALYTICSCTL_TOKEN": credentials.token("acme", role)}
        return await asyncio.to_thread(ctl, "report", "model", *words, **variables)

    return run


async def test_a_version_is_drawn_beside_the_one_it_was_judged_against(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "x.html"
    result = await ran("1.2.0", "--type", "turnover", "--out", str(out), "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer == {"title": "Turnover prediction 1.2.0", "page": str(out), "picture": str(tmp_path / "x.png"), "rows": 300}
    read = stands_alone(out.read_text(encoding="utf-8"))
    assert read.tags.count("img") == 6
    for words in (
        "ROC curve",
        "Precision and recall",
        "Calibration",
        "Importance of features",
        "Brier score",
        "cross-validation in 2 folds",
    ):
        assert words in read.text
    assert "version 1.1.0" in read.text
    assert HOSTILE in read.text
    assert "300 rows, " in read.text
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


async def test_forecasts_are_drawn_by_months_ahead(ran: Ran, tmp_path: Path) -> None:
    result = await ran("active", "--type", "spend", "--out", str(tmp_path / "x.html"))
    assert result.exit_code == 0, result.stderr
    assert "Spend forecasting 1.0.0" in result.stderr
    read = stands_alone((tmp_path / "x.html").read_text(encoding="utf-8"))
    for words in ("Error by months ahead", "Coverage by months ahead", "Pinball loss by months ahead", "144 forecasts of 12 series"):
        assert words in read.text
    assert "This is the first version of its type" in read.text
    assert "75 % of the series are forecast better than naively" in read.text


async def test_a_version_is_compared_by_its_metrics_where_nothing_was_stored_to_draw_of_the_one_before(shared: Service) -> None:
    def look() -> versions.Compared:
        with grpc.insecure_channel(shared.address) as channel:
            connection = Connection(channel, shared.address, credentials.token("acme", "admin"))
            models = list_models(connection, ModelKind.MODEL_TYPE_TURNOVER_PREDICTION, ModelState.MODEL_STATE_UNSPECIFIED, 0)
            return versions.compared(connection, models, versions.chosen(models, "1.1.0"))

    found = await asyncio.to_thread(look)
    assert found.previous is not None
    assert (found.previous.version, found.earlier) == ("1.0.0", None)
    sections = "".join(section.content for section in of_model.report(found, datetime.now(UTC), "here").sections)
    assert "Nothing was stored to draw of the version before" in sections
    assert sections.count("equal") == len(classifier.METRICS)


async def test_a_version_without_anything_to_draw_says_so_and_writes_nothing(ran: Ran, tmp_path: Path) -> None:
    result = await ran("1.0.0", "--type", "turnover", "--out", str(tmp_path / "x.html"))
    assert result.exit_code == 1
    assert "MODEL_EVALUATION_NOT_FOUND: nothing was stored to draw of version 1.0.0" in result.stderr
    assert "analyticsctl train" in result.stderr
    assert found_in(tmp_path) == []
    refused = await ran("1.0.0", "--type", "turnover", "--out", str(tmp_path / "x.html"), "--json")
    assert json.loads(refused.stderr)["error"]["reason"] == "MODEL_EVALUATION_NOT_FOUND"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("9.9.9", "--out", "x.html"), "there is no model version '9.9.9'"),
        (("1.0.0", "--out", "x.html"), "is a version of several types: spend_forecasting, turnover_prediction"),
        (("1.2.0", "--out", "x.png"), "ends in .html"),
        (("1.2.0", "--out", "nowhere/x.html"), "there is no folder"),
        (("1.2.0", "--type", "weather", "--out", "x.html"), "--type"),
    ],
)
async def test_what_cannot_be_meant_is_told(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = await ran(*words)
    assert result.exit_code == 2, result.stderr
    assert said in result.stderr
    assert found_in(tmp_path) == []


async def test_who_may_not_list_models_gets_no_report(ran: Ran, tmp_path: Path) -> None:
    result = await ran("1.2.0", "--out", str(tmp_path / "x.html"), role="viewer")
    assert result.exit_code == 1
    assert "ROLE_REQUIRED" in result.stderr
