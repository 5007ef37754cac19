"""Callers that ask for predictions while things die, and that do what the contract tells them: retry, with the same request id."""

from __future__ import annotations

import asyncio
import random  # noqa: TC003 - a dataclass names it
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import grpc
from analytics.v1 import predictions_pb2 as pb

from tests.chaos.history import Told
from tests.support import live
from tests.support.asking import typed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.live import Metadata
    from tests.support.stack import Stack

ORGS = 20
CALL_SECONDS = 8.0
BACKOFF_SECONDS = 0.2
AFRESH = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED})
"""What a caller answers with another try: all of them leave open, or say no to, whether it was accepted."""
_Answer = TypeVar("_Answer")


@dataclass
class Load:
    """Requests at a steady rate over many organizations, each with an input of its own; keeps what callers were told."""

    stack: Stack
    dice: random.Random
    requests_per_second: float = 60.0
    retried_codes: frozenset[grpc.StatusCode] = AFRESH
    told: Told = field(default_factory=Told)
    retries: Counter[str] = field(default_factory=Counter)
    _number: int = 0
    _marks: list[tuple[int, asyncio.Event]] = field(default_factory=list)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Ask until stopped, then wait until every request that was begun is accepted."""
        begin = asyncio.get_running_loop().time()
        credentials = [live.bearer(f"load-{number}") for number in range(ORGS)]
        async with asyncio.TaskGroup() as calls:
            while not self._stopped.is_set():
                due = int((asyncio.get_running_loop().time() - begin) * self.requests_per_second)
                # What could not be asked during an outage is not made up for: callers are as many as they are.
                while self._number < due and self._number - len(self.told.accepted) < 4 * ORGS:
                    calls.create_task(self._ask(self._number, credentials[self._number % ORGS]))
                    self._number += 1
                await pause(self._stopped, 1 / self.requests_per_second)

    @property
    def accepted(self) -> int:
        """How many requests were accepted."""
        return len(self.told.accepted)

    def stop(self) -> None:
        """Ask for nothing new."""
        self._stopped.set()

    async def reached(self, number: int, seconds: float = 120.0) -> None:
        """Wait until so many requests were accepted."""
        event = asyncio.Event()
        self._marks.append((number, event))
        self._tell()
        async with asyncio.timeout(seconds):
            await event.wait()

    async def _ask(self, seed: int, who: Metadata) -> None:
        answer = await self._request(seed, who)
        if self.dice.random() < 0.05:
            request_id = self._id()
            job = await self._persist(lambda: self._cancel(answer.job_id, who, request_id))
            if job is not None:
                self.told.cancelled.add((job.id, job.generation))
                await self._request(seed, who)

    async def _request(self, seed: int, who: Metadata) -> pb.RequestPredictionResponse:
        # Half of them without an id: what was accepted twice is found by its input, and the short way is killed too.
        request_id = self._id()
        request = typed(seed, request_id=request_id if seed % 2 else "")
        request.turnover.attributes.monthly_income = 2_000 + seed / 100
        named = (*who, ("x-request-id", request_id))
        call = self.stack.analytics.RequestPrediction

        async def once() -> pb.RequestPredictionResponse:
            self.told.calls[request_id] += 1
            return await call(request, metadata=named, timeout=CALL_SECONDS, wait_for_ready=True)

        answer = await self._persist(once)
        self.told.accepted[request_id] = answer.job_id
        self._tell()
        return answer

    async def _cancel(self, job_id: str, who: Metadata, request_id: str) -> pb.PredictionJob | None:
        request = pb.CancelPredictionJobRequest(job_id=job_id, request_id=request_id)
        call = self.stack.analytics.CancelPredictionJob
        try:
            return (await call(request, metadata=who, timeout=CALL_SECONDS, wait_for_ready=True)).job
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return None
            raise

    async def _persist(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in self.retried_codes:
                    raise
                self.retries[error.code().name] += 1
                await pause(asyncio.Event(), BACKOFF_SECONDS)

    def _id(self) -> str:
        return str(UUID(int=self.dice.getrandbits(128), version=4))

    def _tell(self) -> None:
        for number, event in self._marks:
            if self.accepted >= number:
                event.set()


async def pause(stopped: asyncio.Event, seconds: float) -> None:
    """Let time pass, as a caller does between two tries, or stop earlier."""
    if not stopped.is_set():
        done = asyncio.ensure_future(stopped.wait())
        await asyncio.wait([done], timeout=seconds)
        done.cancel()
