"""Runs of background jobs, over the wire, and a job that does what a test tells it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analytics.admin.v1 import operations_service_pb2 as pb
from google.rpc import error_details_pb2

from server.training.model import TRAIN
from tests.support import live
from tests.support.asking import TURNOVER
from workers import runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest
    from analytics.v1 import models_pb2

    from server.app import App
    from tests.support.live import Service


@dataclass
class Job:
    """Stands for the training: says when it began, and ends when it may."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    result: Mapping[str, object] = field(default_factory=dict)
    calls: int = 0

    async def __call__(self, _app: App, _scope: str, progress: Callable[[float, str], None]) -> Mapping[str, object]:
        """Run."""
        self.calls += 1
        progress(0.25, "at a quarter")
        self.began.set()
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return self.result


def instead_of_training(monkeypatch: pytest.MonkeyPatch) -> Job:
    """Put a job of the test's own in the place of the training."""
    job = Job()
    monkeypatch.setattr(runs, "JOBS", {TRAIN: job})
    return job


def order(model_type: models_pb2.ModelType.ValueType = TURNOVER, request_id: str = "") -> pb.RunJobRequest:
    """Return the request of a training."""
    return pb.RunJobRequest(train=pb.TrainJob(model_type=model_type), request_id=request_id)


async def start(service: Service, request: pb.RunJobRequest | None = None) -> pb.JobRun:
    """Start a run."""
    return (await service.operations.RunJob(request or order(), metadata=live.operator())).run


async def get(service: Service, run_id: str) -> pb.JobRun:
    """Return a run as it stands."""
    return (await service.operations.GetJobRun(pb.GetJobRunRequest(run_id=run_id), metadata=live.operator())).run


async def told(service: Service, run_id: str, after_revision: int = 0) -> list[pb.JobRun]:
    """Watch a run to its end; returns what was told."""
    request = pb.WatchJobRunRequest(run_id=run_id, after_revision=after_revision)
    async with asyncio.timeout(60):
        stream = service.operations.WatchJobRun(request, metadata=live.operator())
        return [message.run async for message in stream if message.HasField("run")]


async def ended(service: Service, run_id: str) -> pb.JobRun:
    """Return a run once it ended."""
    return (await told(service, run_id))[-1]


def reason(run: pb.JobRun) -> str:
    """Why a run failed."""
    info = error_details_pb2.ErrorInfo()
    assert run.error.details[0].Unpack(info)
    assert info.domain == "analytics"
    return info.reason
