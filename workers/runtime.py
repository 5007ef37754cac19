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

from server.predictions.jobs import EXECUTE, parse_start
from server.queue import PREDICTIONS
from server.queue.jobs import deserialize, serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.predictions import PredictionWorker

_POLL_SECONDS = 0.01
# The entries of a killed worker stay at the front until their time is over; new ones must be seen behind them.
_READ_LIMIT = 2_000
_LEASES_PER_TIMEOUT = 2
_PUT_AWAY_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class PredictionRuntime:
    """Takes starts off the queue and gives them to the prediction worker."""

    def __init__(self, worker: PredictionWorker) -> None:
        """Nothing runs yet."""
        self._worker = worker
        self._arq: Worker | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False

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
                await self._close()
            pause = _FIRST_PAUSE_SECONDS if clock() - began > _LONGEST_PAUSE_SECONDS else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def drain(self, seconds: float) -> None:
        """Take nothing new; let what runs finish within `seconds`, then hand it back."""
        self._draining = True
        if self._arq is not None:
            self._arq.allow_pick_jobs = False
        until = asyncio.get_running_loop().time() + seconds
        while (pending := self._pending()) and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(pending, timeout=left)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        # Or what was handed back would block its place in the queue for a while.
        if pending := self._pending():
            await asyncio.wait(pending, timeout=_PUT_AWAY_SECONDS)

    def _pending(self) -> set[asyncio.Task[None]]:
        """Return what runs, and what arq has taken and not begun or not put away yet."""
        taken = () if self._arq is None else self._arq.tasks.values()
        return {task for task in (*self._running, *taken) if not task.done()}

    async def _execute(self, ctx: dict[str, object], *starts: Sequence[str | int]) -> None:
        """Run apart from arq's task: when arq dies of a Valkey error, what it started goes on to its end."""
        del ctx
        task = asyncio.create_task(self._worker.execute([parse_start(start) for start in starts]))
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

    def _make(self) -> Worker:
        app = self._worker.app
        # What a killed worker had taken blocks its place in the queue, where every worker looks past it a hundred times a second,
        # for as long as this. When it ends early, a job that still runs goes on apart from arq.
        timeout = _LEASES_PER_TIMEOUT * app.settings.prediction_lease_seconds
        pool = ArqRedis.from_url(app.settings.redis_url, socket_connect_timeout=1.0)
        pool.job_serializer, pool.job_deserializer = serialize, deserialize
        return Worker(
            functions=[func(self._execute, name=EXECUTE, keep_result=0, timeout=timeout, max_tries=1)],
            queue_name=PREDICTIONS,
            redis_pool=pool,
            handle_signals=False,
            max_jobs=app.settings.worker_concurrency,
            poll_delay=_POLL_SECONDS,
            queue_read_limit=_READ_LIMIT,
            keep_result=0,
            retry_jobs=False,
            health_check_interval=30,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
        )

    async def _close(self) -> None:
        """End arq's tasks and its connections; arq's own `close` leaves them open when one of its tasks was cancelled."""
        if self._arq is None:
            return
        self._arq.handle_sig(signal.SIGUSR1)
        await asyncio.gather(*self._arq.tasks.values(), return_exceptions=True)
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._arq.pool.aclose(close_connection_pool=True)
