"""`make bench` runs, and says what it measured where; how fast anything is, no test says."""

from __future__ import annotations

import asyncio
import json
import sys

from bench.__main__ import MEASURES
from bench.measure import percentile
from tests.contract.sources import ROOT


async def _bench(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode(), said.decode()


async def test_the_bench_prints_rows_with_their_targets_and_the_machine_they_were_measured_on() -> None:
    code, printed, said = await _bench("memory", "--quick", "--json")
    # 1 says that a target was missed, which on a busy machine is no fault of anybody's.
    assert code in {0, 1}, said
    told = json.loads(printed)
    assert {"machine", "python", "grpcio", "asyncpg", "xgboost-cpu"} <= told["machine"].keys()
    rows = [row for row in told["rows"] if not row["skipped"]]
    assert len(rows) == 2
    assert all(row["ours"] and row["target"] and row["met"] in (True, False) for row in rows)


async def test_an_unknown_measure_is_refused_with_those_there_are() -> None:
    code, _, said = await _bench("speed")
    assert code == 2
    assert all(name in said for name in MEASURES)


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() -> None:
    assert [percentile([5, 1, 4, 2, 3], share) for share in (0.2, 0.5, 0.99, 1.0)] == [1, 3, 5, 5]
