"""Workers of two releases side by side, as while a new one is rolled out."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos import history

if TYPE_CHECKING:
    from tests.support.stack import Stack

pytestmark = pytest.mark.xdist_group("chaos")

OTHER_RELEASE = str(Path(__file__).parent / "other_release_worker.py")
REQUESTS = 120
# Nobody dies here: a worker that was held up must not be taken for one that did.
LEASE = {"ANALYTICS_PREDICTION_LEASE_SECONDS": "10"}
_ENDED = "SELECT count(*) FROM prediction_jobs WHERE org_id LIKE $1 AND state = 'COMPLETED' AND crashes = 0"


async def _ask(bare: Stack, org: str, seeds: range) -> None:
    await asyncio.gather(*(bare.ask(f"{org}-{seed % 30}", seed) for seed in seeds))


async def test_a_release_takes_over_from_another_while_both_run_and_no_prediction_is_lost(bare: Stack, org: str) -> None:
    old, _ = await asyncio.gather(bare.worker(OTHER_RELEASE, **LEASE), bare.server(**LEASE))
    await _ask(bare, org, range(REQUESTS))
    await history.drained(bare, f"{org}-%")
    await bare.worker(**LEASE)
    await _ask(bare, org, range(REQUESTS, 2 * REQUESTS))
    old.send(signal.SIGTERM)
    await _ask(bare, org, range(2 * REQUESTS, 3 * REQUESTS))
    assert await old.ended() == 0
    await history.drained(bare, f"{org}-%")
    async with history.connected(bare) as connection:
        assert await connection.fetchval(_ENDED, f"{org}-%") == 3 * REQUESTS
