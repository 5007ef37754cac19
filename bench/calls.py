"""Calls per second of the hot RPCs, beside a bare handler with one indexed SELECT; h2load makes the calls."""

from __future__ import annotations

import asyncio
import re
import shutil
import struct
import urllib.request
from functools import partial
from typing import TYPE_CHECKING

import grpc.aio
from analytics.v1 import predictions_pb2 as pb

from bench import bare_handler
from bench.asking import request
from bench.measure import Pair, Row, Skipped, in_turns
from bench.stack import process

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from bench.asking import Tenant
    from bench.context import Service

CALLS = 4_000
ROUNDS = 5
CONNECTIONS, STREAMS = 4, 8
SEED = 1
ORG = "calls"
TARGET, GOAL = 0.5, 0.7
SERVICE = "/analytics.v1.AnalyticsService"
_OK = 'analytics_rpc_calls_total{code="OK",method="%s"}'
_RATE = re.compile(r"finished in .*?, ([\d.]+) req/s")
_SUCCEEDED = re.compile(r"requests: (\d+) total.* (\d+) succeeded")


async def calls(service: Service) -> list[Row | Skipped]:
    """Measure a duplicate request and a read."""
    names = ("RequestPrediction of a duplicate", "GetPredictionJob")
    if shutil.which("h2load") is None:
        return [Skipped(name, "h2load is not installed (Debian: nghttp2-client)") for name in names]
    tenant = service.tenant(ORG)
    job_id = await tenant.request(SEED)
    assert (await tenant.ended(job_id)).HasField("turnover")
    read = pb.GetPredictionJobRequest(job_id=job_id)
    with process(service.made, "bench.bare_server", {bare_handler.ORG: ORG, bare_handler.URL: service.made.admin_url}) as bare:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{bare.port}") as channel:
            assert await service.on(channel, ORG).job(job_id) == await tenant.job(job_id), "the bare handler answers something else"
        bare_read = partial(load, service, None, bare.port, "GetPredictionJob", read)
        return [
            _row(await in_turns(ROUNDS, partial(load, service, tenant, service.server.port, method, message), bare_read), name)
            for name, method, message in zip(names, ("RequestPrediction", "GetPredictionJob"), (request(SEED), read), strict=True)
        ]


def _row(pair: Pair, name: str) -> Row:
    return Row(
        name,
        f"{pair.our_median:,.0f} calls/s",
        f"bare handler, one SELECT: {pair.bare_median:,.0f} calls/s",
        pair.ratio,
        pair.spread,
        f">= {TARGET}x (goal {GOAL})",
        pair.ratio >= TARGET,
        f"{CONNECTIONS} connections of {STREAMS} streams; every call answered OK",
    )


async def _ok(service: Service, method: str) -> int:
    """Count the calls that the server says it answered with OK."""
    url = f"http://127.0.0.1:{service.made.metrics_port}/metrics"
    page = (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode()
    wanted = _OK % f"{SERVICE}/{method}"
    return next((int(float(line.rpartition(" ")[2])) for line in page.splitlines() if line.startswith(wanted)), 0)


async def load(service: Service, tenant: Tenant | None, port: int, method: str, message: Message) -> float:
    """Let h2load call; returns calls per second. All must have succeeded, which HTTP 200 alone does not say."""
    number = service.some(CALLS // 100) * 100
    frame = service.made.folder / f"{method}.bin"
    content = message.SerializeToString()
    frame.write_bytes(struct.pack(">BI", 0, len(content)) + content)
    headers = ["content-type: application/grpc", "te: trailers", *([f"authorization: Bearer {tenant.token}"] if tenant else [])]
    before = await _ok(service, method) if tenant else 0
    load = await asyncio.create_subprocess_exec(
        "h2load", f"-n{number}", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-d{frame}", *(part for header in headers for part in ("-H", header)),
        f"http://127.0.0.1:{port}{SERVICE}/{method}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = (await load.communicate())[0].decode()
    rate, succeeded = _RATE.search(said), _SUCCEEDED.search(said)
    assert rate and succeeded and int(succeeded[2]) == number, said  # noqa: PT018 - one complaint for all
    assert not tenant or await _ok(service, method) - before == number, "some calls failed with HTTP 200"
    return float(rate[1])
