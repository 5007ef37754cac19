"""arq around the prediction worker: restarted with backoff, because arq ends at the first Valkey error."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.exceptions import RedisError

from server.lifecycle import to_its_end
from server.predictions.jobs import EXECUTE, parse_start
from server.predictions.model import HANDED_OVER_TOPIC
from server.queue import PREDICTIONS
from server.queue.bell import wait
from server.queue.jobs import deserialize, serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.predictions.model import Start
    from server.queue import Bell
    from workers.predictions import PredictionWorker

_BUSY_POLL_SECONDS = 0.01
_IDLE_POLL_SECONDS = 0.5
# The entries of a killed worker stay at the front until their time is over; new ones must be seen behind them.
_READ_LIMIT = 2_000
_LEASES_PER_TIMEOUT = 2
_PUT_AWAY_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class _RungWorker(Worker):
    """arq's worker, which looks when the bell rings; by the clock only while it works, when places become free unheard."""

    bell: Bell

    async def main(self) -> None:
        """Take jobs until told to pick no more; returns when those that were taken are put away."""
        self.ctx["redis"] = self.pool
        with self.bell.waiting(HANDED_OVER_TOPIC) as rung:
            while self.allow_pick_jobs:
                await self._poll_iteration()
                await wait(rung, _BUSY_POLL_SECONDS if self.tasks else _IDLE_POLL_SECONDS)
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start what is still to be picked, of many that wait for a place one after the other."""
        for job_id in job_ids:
            if self.allow_pick_jobs:
                await super().start_jobs([job_id])

    def pick_no_more(self) -> None:
        """Have `main` come to its end."""
        self.allow_pick_jobs = False
        self.bell.wake(HANDED_OVER_TOPIC)


class PredictionRuntime:
    """Takes starts off the queue and gives them to the prediction worker."""

    def __init__(self, worker: PredictionWorker) -> None:
        """Nothing runs yet."""
        self._worker = worker
        self._arq: _RungWorker | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False
        # arq counts a job out when its time is over; what it started may still run then.
        self._places = asyncio.Semaphore(worker.app.settings.worker_concurrency)

    async def run(self) -> None:
        """Work until cancelled; a Valkey that is away is tried again with growing pauses."""
        pause = _FIRST_PAUSE_SECONDS
        clock = asyncio.get_running_loop().time
        while not self._draining:
            began = clock()
            self._arq = self._make()
            try:
                await self._arq.async_run()
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("queue.lost", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a restart of arq, not every prediction from now on
                _log.exception("queue.broken")
            finally:
                await to_its_end(self._close())
            pause = _FIRST_PAUSE_SECONDS if clock() - began > _LONGEST_PAUSE_SECONDS else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def drain(self, seconds: float) -> None:
        """Take nothing new; let what runs finish within `seconds`, then hand it back."""
        self._draining = True
        if self._arq is not None:
            self._arq.pick_no_more()
        await self._wait(seconds)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        # Or what was handed back would block its place in the queue for a while.
        await self._wait(_PUT_AWAY_SECONDS)

    async def _wait(self, seconds: float) -> None:
        """Wait for what runs, and for what arq has taken and not begun or not put away yet; at most `seconds`."""
        taking = None if self._arq is None else self._arq.main_task
        if pending := {task for task in (taking, *self._running) if task is not None and not task.done()}:
            await asyncio.wait(pending, timeout=seconds)

    async def _execute(self, ctx: dict[str, object], *starts: Sequence[str | int]) -> None:
        """Run apart from arq's task: when arq dies of a Valkey error, what it started goes on to its end."""
        del ctx
        task = asyncio.create_task(self._run([parse_start(start) for start in starts]))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # Handed back: for arq that is an end like any other.
            if not task.cancelled():
                raise
        except Exception:  # noqa: BLE001 - arq would log the text of the error, which may quote an input
            _log.exception("prediction.broken")

    async def _run(self, starts: Sequence[Start]) -> None:
        async with self._places:
            await self._worker.execute(starts)

    def _make(self) -> _RungWorker:
        app = self._worker.app
        # What a killed worker had taken blocks its place in the queue, where every worker looks past it a hundred times a second,
        # for as long as this. When it ends early, a job that still runs goes on apart from arq.
        timeout = _LEASES_PER_TIMEOUT * app.settings.prediction_lease_seconds
        pool = ArqRedis.from_url(app.settings.redis_url, socket_connect_timeout=1.0)
        pool.job_serializer, pool.job_deserializer = serialize, deserialize
        worker = _RungWorker(
            functions=[func(self._execute, name=EXECUTE, keep_result=0, timeout=timeout, max_tries=1)],
            queue_name=PREDICTIONS,
            redis_pool=pool,
            handle_signals=False,
            max_jobs=app.settings.worker_concurrency,
            queue_read_limit=_READ_LIMIT,
            keep_result=0,
            retry_jobs=False,
            health_check_interval=30,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
        )
        worker.bell = app.bell
        return worker

    async def _close(self) -> None:
        """End arq's tasks and its connections; arq's own `close` leaves them open when one of its tasks was cancelled."""
        if self._arq is None:
            return
        self._arq.handle_sig(signal.SIGUSR1)
        await asyncio.gather(*self._arq.tasks.values(), return_exceptions=True)
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._arq.pool.aclose(close_connection_pool=True)
