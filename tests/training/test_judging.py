"""What becomes of a candidate: judged beside the active version, it takes its place or stays out with the reason."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from analytics.v1 import models_pb2

from server.errors import AnalyticsError
from server.identity import RunId
from server.ml.training import TrainingDataInsufficient
from server.registry import store as registry
from server.registry.model import ModelState, ModelType
from server.schedule.model import Claim
from tests.support import live, told
from tests.support.leftovers import superuser
from workers.retraining import retrain_all
from workers.training import train_shared_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.databases import Cluster
    from tests.support.live import Service
    from tests.support.told import Told

TURNOVER = ModelType.TURNOVER_PREDICTION
ACTIVE, DEPRECATED, FAILED = models_pb2.MODEL_STATE_ACTIVE, models_pb2.MODEL_STATE_DEPRECATED, models_pb2.MODEL_STATE_FAILED
TRAINING = models_pb2.MODEL_STATE_TRAINING


def claim(run_id: UUID | None = None, scope: str = "all") -> Claim:
    return Claim(RunId(run_id or uuid4()), "weekly_retraining", scope, uuid4(), "")


async def retrain(service: Service, run_id: UUID | None = None) -> Mapping[str, Mapping[str, object]]:
    """Run the weekly retraining; returns what came of each type."""
    result = await retrain_all(service.app, claim(run_id), lambda _share, _words: None)
    types = result["types"]
    assert isinstance(types, list)
    return {each["model_type"]: each for each in types}


async def models(service: Service) -> Sequence[models_pb2.Model]:
    """Return the versions of the turnover model, the oldest first."""
    request = models_pb2.ListModelsRequest(type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    return (await service.analytics.ListModels(request, metadata=live.bearer("acme", "admin"))).models[::-1]


async def standing(service: Service) -> list[tuple[str, int]]:
    return [(model.version, model.state) for model in await models(service)]


def losing(monkeypatch: pytest.MonkeyPatch, *losses: float) -> Told:
    """Let the versions of the turnover model lose so much; returns its trainings."""
    return told.instead_of_training(monkeypatch, lambda: told.Told(iter(losses)))[TURNOVER]


async def test_a_worse_candidate_stays_out_with_the_reason_and_a_better_or_equal_one_takes_the_place(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = losing(monkeypatch, 1.0, 2.0, 1.0, 0.5)
    came = [(await retrain(idle))[TURNOVER] for _ in range(4)]
    assert await standing(idle) == [("1.0.0", DEPRECATED), ("1.1.0", FAILED), ("1.2.0", DEPRECATED), ("1.3.0", ACTIVE)]
    assert [each["activated"] for each in came] == [True, False, True, True]
    first, worse, equal, _ = await models(idle)
    assert worse.failure_reason == "worse than the active version 1.0.0 on the same 1000 rows: brier_score 2.0000 against 1.0000"
    assert came[1]["reason"] == worse.failure_reason
    assert (worse.evidence.loss, worse.evidence.active_loss, worse.evidence.active_version) == (2.0, 1.0, "1.0.0")
    assert not first.evidence.HasField("active_loss")
    assert (equal.evidence.active_version, equal.evidence.rows, equal.evidence.baseline_loss) == ("1.0.0", 1000, told.BASELINE)
    assert trainings.asked == [(1.0, None), (2.0, 1.0), (1.0, 1.0), (0.5, 1.0)]


async def test_a_candidate_no_better_than_the_baseline_stays_out_though_no_version_is_active(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    losing(monkeypatch, told.BASELINE, told.BASELINE, 1.0)
    came = (await retrain(idle))[TURNOVER]
    assert (came["state"], came["activated"], came["reason"]) == ("FAILED", False, "no better than the base rate")
    with pytest.raises(AnalyticsError, match=r"version 1\.1\.0: no better than the base rate; it stays inactive"):
        await train_shared_model(idle.app, claim(scope=TURNOVER), lambda _share, _words: None)
    assert (await retrain(idle))[TURNOVER]["version"] == "1.2.0"
    assert await standing(idle) == [("1.0.0", FAILED), ("1.1.0", FAILED), ("1.2.0", ACTIVE)]


async def test_a_candidate_is_compared_anew_when_another_version_became_active_meanwhile(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = losing(monkeypatch, 1.0, 0.5, 0.1)
    await retrain(idle)
    overtake(idle, trainings, times=1)
    came = (await retrain(idle))[TURNOVER]
    assert trainings.asked == [(1.0, None), (0.5, 1.0), (0.1, 1.0), (0.5, 0.1)]
    assert (came["version"], came["state"]) == ("1.1.0", "FAILED")
    assert "worse than the active version 1.2.0" in str(came["reason"])
    assert await standing(idle) == [("1.0.0", DEPRECATED), ("1.1.0", FAILED), ("1.2.0", ACTIVE)]


async def test_a_candidate_that_is_overtaken_again_and_again_gives_up_and_the_same_run_may_go_on(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = losing(monkeypatch, 1.0, 0.01, 0.5, 0.4, 0.3, 0.2, 0.1)
    await retrain(idle)
    overtake(idle, trainings, times=5)
    run_id = uuid4()
    came = (await retrain(idle, run_id))[TURNOVER]
    assert (came["state"], came["reason"]) == (
        "",
        "CONCURRENT_UPDATE: other versions were activated meanwhile, again and again; train anew",
    )
    assert dict(await standing(idle)) == {"1.0.0": DEPRECATED, "1.1.0": TRAINING} | {
        f"1.{number}.0": DEPRECATED for number in range(2, 6)
    } | {"1.6.0": ACTIVE}
    again = (await retrain(idle, run_id))[TURNOVER]
    assert (again["version"], again["state"]) == ("1.1.0", "ACTIVE")


def overtake(service: Service, trainings: Told, times: int) -> None:
    """Activate another version during each of the next comparisons."""
    loop, left = asyncio.get_running_loop(), iter(range(times))

    def meanwhile() -> None:
        trainings.meanwhile = lambda: None
        if next(left, None) is not None:
            other = train_shared_model(service.app, claim(scope=TURNOVER), lambda _share, _words: None)
            asyncio.run_coroutine_threadsafe(other, loop).result(30)
            trainings.meanwhile = meanwhile

    trainings.meanwhile = meanwhile


async def test_a_candidate_that_cannot_be_judged_stays_out_and_nothing_changes(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = losing(monkeypatch, 1.0, 0.5)
    await retrain(idle)

    def nobody() -> None:
        msg = "3 of 400 rows are of subjects that are held out"
        raise TrainingDataInsufficient(msg)

    trainings.meanwhile = nobody
    came = (await retrain(idle))[TURNOVER]
    assert (came["state"], came["reason"]) == ("FAILED", "cannot be judged: 3 of 400 rows are of subjects that are held out")
    assert await standing(idle) == [("1.0.0", ACTIVE), ("1.1.0", FAILED)]


@pytest.mark.parametrize(
    "failure", [ZeroDivisionError(), ValueError("a defect"), KeyError("a defect")], ids=lambda error: type(error).__name__
)
async def test_a_defect_in_one_type_does_not_stop_the_others_and_its_active_version_stays(
    idle: Service, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    trainings = told.instead_of_training(monkeypatch)
    await retrain(idle)
    trainings[TURNOVER].losses = broken(failure)
    came = await retrain(idle)
    assert came[TURNOVER]["reason"] == "INTERNAL: a defect on our side ended the training"
    assert {came[kind]["state"] for kind in ModelType if kind is not TURNOVER} == {"ACTIVE"}
    assert await standing(idle) == [("1.0.0", ACTIVE)]


async def test_control_what_passes_ends_the_run_so_that_it_is_taken_again(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = told.instead_of_training(monkeypatch)
    run_id = uuid4()
    whole = trainings[ModelType.CONTRACT_RISK].losses
    trainings[ModelType.CONTRACT_RISK].losses = broken(ConnectionError())
    with pytest.raises(ConnectionError):
        await retrain(idle, run_id)
    trainings[ModelType.CONTRACT_RISK].losses = whole
    async with idle.app.db.platform() as tx:
        ended = {model.type: list(trainings[model.type].asked) for model in await registry.page(tx, None, ModelState.ACTIVE, None, 10)}
    assert ended
    came = await retrain(idle, run_id)
    assert {(each["version"], each["state"]) for each in came.values()} == {("1.0.0", "ACTIVE")}
    # What had ended before was not trained again.
    assert {kind: trainings[kind].asked for kind in ended} == ended


def broken(failure: Exception) -> Iterator[float]:
    """Losses that cannot be had."""

    def fail(_number: int) -> float:
        raise failure

    return map(fail, range(1))


async def test_a_training_on_other_features_is_the_next_major_version(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = losing(monkeypatch, 1.0, 0.9, 0.8, 0.7)
    await retrain(idle)
    await retrain(idle)
    trainings.schema = {"features": [{"name": "pay", "kind": "number"}]}
    await retrain(idle)
    await retrain(idle)
    assert [version for version, _ in await standing(idle)] == ["1.0.0", "1.1.0", "2.0.0", "2.1.0"]


async def test_a_rejected_candidate_of_other_features_makes_the_next_one_of_these_a_minor_version(
    idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = losing(monkeypatch, 1.0, 2.0, 2.0, 0.5)
    await retrain(idle)
    trainings.schema = {"features": [{"name": "pay", "kind": "number"}]}
    for _ in range(3):
        await retrain(idle)
    assert await standing(idle) == [("1.0.0", DEPRECATED), ("2.0.0", FAILED), ("2.1.0", FAILED), ("2.2.0", ACTIVE)]


SPOIL = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.content := '0.1'; RETURN NEW; END $$;
CREATE TRIGGER spoil BEFORE INSERT ON shared_model_artifacts FOR EACH ROW EXECUTE FUNCTION spoil()
"""


async def test_an_active_version_whose_bytes_are_not_those_registered_has_no_say(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = losing(monkeypatch, 1.0, 2.0, 3.0)
    await retrain(idle)
    async with superuser(cluster, idle) as connection:
        await connection.execute("UPDATE shared_model_artifacts SET content = '0.1'")
    await retrain(idle)
    # The control: of one whose bytes are whole, the loss counts.
    await retrain(idle)
    assert trainings.asked == [(1.0, None), (2.0, None), (3.0, 2.0)]
    assert await standing(idle) == [("1.0.0", DEPRECATED), ("1.1.0", ACTIVE), ("1.2.0", FAILED)]
    assert not (await models(idle))[1].evidence.HasField("active_loss")


async def test_a_candidate_whose_bytes_are_not_those_registered_fails_and_nothing_else_changes(
    cluster: Cluster, idle: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = losing(monkeypatch, 1.0, 0.9, 0.8)
    await retrain(idle)
    async with superuser(cluster, idle) as connection:
        await connection.execute(SPOIL)
    damaged = "its stored bytes are not those that were registered"
    came = (await retrain(idle))[TURNOVER]
    assert (came["state"], came["activated"], came["reason"]) == ("FAILED", False, damaged)
    with pytest.raises(AnalyticsError, match=damaged) as failed:
        await train_shared_model(idle.app, claim(scope=TURNOVER), lambda _share, _words: None)
    assert failed.value.reason == "INTERNAL"
    assert trainings.asked == [(1.0, None)]
    assert await standing(idle) == [("1.0.0", ACTIVE), ("1.1.0", FAILED), ("1.2.0", FAILED)]
