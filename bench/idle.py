"""From request to COMPLETED on an idle machine, and how much memory an idle service takes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench import bare_arq
from bench.asking import request
from bench.measure import Row, percentile
from bench.stack import process
from server import app as composition
from server.ml.scoring import Scorer
from server.wire.prediction_inputs import wanted
from workers.scorers import Scorers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.context import Service

JOBS = 300
ROUNDS = 3
P50_SECONDS, P99_SECONDS = 0.030, 0.100
SERVER_BYTES, WORKER_BYTES = 150e6, 250e6
SETTLE_SECONDS = 3.0


async def latency(service: Service) -> list[Row]:
    """Ask one after the other; in turns with round trips of the bare queue and with bare predictions."""
    tenant = service.tenant("idle")
    seeds = iter(range(10_000_000))

    async def ours() -> None:
        job = await tenant.ended(await tenant.request(next(seeds)))
        assert job.HasField("turnover"), job

    redis = bare_arq.pool(service.made.valkey.url)
    predict = await _predict(service)
    times: dict[str, list[float]] = {"ours": [], "arq": [], "predict": []}
    with process(service.made, "bench.bare_arq"):
        for number in range(ROUNDS + 1):
            for name, act in (("ours", ours), ("arq", lambda: bare_arq.round_trip(redis)), ("predict", predict)):
                took = await _timed(act, service.some(JOBS // ROUNDS))
                if number:  # the first round only warms up
                    times[name].extend(took)
    await redis.aclose()
    return [_row(times, share, target) for share, target in ((0.5, P50_SECONDS), (0.99, P99_SECONDS))]


async def memory(service: Service) -> list[Row]:
    """Read the resident memory of both processes before they had anything to do."""
    await asyncio.sleep(SETTLE_SECONDS)
    return [
        Row(
            f"{name} idle, resident memory",
            f"{process.resident_bytes / 1e6:.0f} MB",
            target=f"< {most / 1e6:.0f} MB",
            met=process.resident_bytes < most,
        )
        for name, process, most in (("server", service.server, SERVER_BYTES), ("worker", service.worker, WORKER_BYTES))
    ]


def _row(times: dict[str, list[float]], share: float, target: float) -> Row:
    ours, arq, predict = (percentile(times[name], share) for name in ("ours", "arq", "predict"))
    return Row(
        f"request to COMPLETED, idle, p{share * 100:.0f}",
        f"{ours * 1e3:.1f} ms",
        f"arq round trip {arq * 1e3:.1f} ms, predict {predict * 1e3:.1f} ms",
        ours / (arq + predict),
        target=f"<= {target * 1e3:.0f} ms",
        met=ours <= target,
        note=f"{len(times['ours'])} requests one after the other; ratio to round trip and predict together",
    )


async def _timed(act: Callable[[], Awaitable[None]], times: int) -> Sequence[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await act()
        took.append(time.perf_counter() - began)
    return took


async def _predict(service: Service) -> Callable[[], Awaitable[None]]:
    async with composition.running(service.made.settings()) as app:
        scorer = await Scorers(app.db).get(service.model.model_id, service.model.type)
    assert isinstance(scorer, Scorer)
    features = scorer.schema.clean(dict(wanted(request(1)).features))

    async def predict() -> None:
        scorer.score(features)

    return predict
