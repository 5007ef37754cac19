"""AnalyticsService: benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import benchmarks_pb2 as pb

from server.benchmarks.look_up import look_up
from server.wire.benchmarks import benchmark_message, question

if TYPE_CHECKING:
    from server.app import App
    from server.rpc.call import Call


class BenchmarkRpcs:
    """Read the benchmarks."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def get_benchmarks(self, request: pb.GetBenchmarksRequest, call: Call) -> pb.GetBenchmarksResponse:
        """Read cells, and on request the organization's own values beside them."""
        async with self._app.read(call.caller.org) as tx:
            found = await look_up(tx, call.caller.org, question(request))
        return pb.GetBenchmarksResponse(benchmarks=[benchmark_message(each) for each in found])
