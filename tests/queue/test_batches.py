"""Commands to Valkey that are asked for at once share round trips and keep apart in everything else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from server.queue import QueueUnavailable, Valkey
from server.queue.batches import MOST_AT_ONCE
from tests.support import environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.databases import Cluster

CALLS = 5_000


@pytest.fixture
async def valkey(cluster: Cluster) -> AsyncIterator[Valkey]:
    """A client of the running server."""
    made = Valkey(cluster.valkey.url, environment.VALKEY_SECONDS)
    yield made
    await made.close()


async def test_every_one_of_many_calls_at_once_gets_its_own_answer_over_few_connections(valkey: Valkey) -> None:
    prefix = uuid4().hex
    await asyncio.gather(*(valkey.put(f"{prefix}:{number}", str(number).encode(), 60) for number in range(CALLS)))
    found = await asyncio.gather(*(valkey.get(f"{prefix}:{number}") for number in range(CALLS)))
    assert found == [str(number).encode() for number in range(CALLS)]
    assert CALLS > MOST_AT_ONCE
    assert len(valkey.client.connection_pool._available_connections) <= 2
    assert await valkey.get(f"{prefix}:absent") is None


async def test_a_cancelled_call_costs_the_others_nothing(valkey: Valkey) -> None:
    key = uuid4().hex
    calls = [asyncio.ensure_future(valkey.put(f"{key}:{number}", b"kept", 60)) for number in range(100)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    await asyncio.wait(calls)
    assert not [call for call in calls[1::2] if call.exception()]
    assert await asyncio.gather(*(valkey.get(f"{key}:{number}") for number in range(1, 100, 2))) == [b"kept"] * 50


async def test_a_command_that_valkey_refuses_fails_alone(valkey: Valkey) -> None:
    key = uuid4().hex
    await valkey.client.lpush(key, b"a list")
    refused, kept = await asyncio.gather(valkey.get(key), valkey.put(f"{key}:kept", b"1", 60), return_exceptions=True)
    assert isinstance(refused, QueueUnavailable)
    assert kept is None


async def test_all_calls_fail_when_valkey_is_not_there() -> None:
    nowhere = Valkey("unix:///nowhere/valkey.sock", environment.VALKEY_SECONDS)
    answers = await asyncio.gather(*(nowhere.get("key") for _ in range(10)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [QueueUnavailable] * 10
    await nowhere.close()
