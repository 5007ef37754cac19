"""A client of the measured server: made-up employees, many calls at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from analytics.v1 import analytics_service_pb2_grpc, models_pb2
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from tests.support import credentials, rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import grpc

CALL_SECONDS = 30.0


class Tenant:
    """One organization's client."""

    def __init__(self, channel: grpc.aio.Channel, org: str) -> None:
        """Sign in."""
        self._stub: analytics_service_pb2_grpc.AnalyticsServiceAsyncStub = analytics_service_pb2_grpc.AnalyticsServiceStub(channel)
        self.token = credentials.token(org)
        self.metadata = (("authorization", f"Bearer {self.token}"),)

    async def request(self, seed: int) -> str:
        """Ask for a prediction of a made-up employee; returns the job id."""
        answer = await self._stub.RequestPrediction(request(seed), metadata=self.metadata, timeout=CALL_SECONDS)
        return answer.job_id

    async def batch(self, seeds: Sequence[int]) -> int:
        """Ask for many at once; returns how many were accepted."""
        items = [pb.PredictionInput(model_type=request(seed).model_type, turnover=request(seed).turnover) for seed in seeds]
        answer = await self._stub.BatchRequestPredictions(
            pb.BatchRequestPredictionsRequest(predictions=items), metadata=self.metadata, timeout=CALL_SECONDS
        )
        return sum(item.HasField("accepted") for item in answer.items)

    async def ended(self, job_id: str) -> pb.PredictionJob:
        """Wait for the end of a job."""
        ask = pb.GetPredictionJobRequest(job_id=job_id, wait=Duration(seconds=20))
        return (await self._stub.GetPredictionJob(ask, metadata=self.metadata, timeout=CALL_SECONDS)).job

    async def job(self, job_id: str) -> pb.PredictionJob:
        """Return a job as it stands."""
        return (await self._stub.GetPredictionJob(pb.GetPredictionJobRequest(job_id=job_id), metadata=self.metadata)).job

    def watch(self, job_id: str) -> grpc.aio.UnaryStreamCall[pb.WatchPredictionJobRequest, pb.WatchPredictionJobResponse]:
        """Watch a job."""
        return self._stub.WatchPredictionJob(pb.WatchPredictionJobRequest(job_id=job_id), metadata=self.metadata)

    async def later(self, seed: int, seconds: int) -> str:
        """Ask for a prediction that starts no earlier than in `seconds`; returns the job id."""
        asked = request(seed)
        asked.schedule_time.GetCurrentTime()
        asked.schedule_time.seconds += seconds
        return (await self._stub.RequestPrediction(asked, metadata=self.metadata, timeout=CALL_SECONDS)).job_id


def request(seed: int) -> pb.RequestPredictionRequest:
    """Return the request of a made-up employee; every seed is another input."""
    made = pb.RequestPredictionRequest(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    made.turnover.attributes.CopyFrom(rows.attributes(seed))
    # Two made-up employees may be alike in everything else, and then they would be one job.
    made.turnover.attributes.distance_from_home = seed / 1_000_000
    return made


async def in_lanes(lanes: int, calls: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Make the calls, `lanes` at a time."""
    left = iter(calls)

    async def lane() -> None:
        for call in left:
            await call()

    await asyncio.gather(*(lane() for _ in range(lanes)))
