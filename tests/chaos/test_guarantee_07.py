"""Guarantee 7: the raw prediction input is nowhere at rest: files of PostgreSQL and Valkey, logs and temporary files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from tests.chaos import history
from tests.support import live
from tests.support.asking import PLAIN, untyped
from tests.support.at_rest import Canary, files_with
from tests.support.refusals import refusal
from tests.support.stack import Stack, stack
from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from analytics.v1 import predictions_pb2 as pb

pytestmark = pytest.mark.xdist_group("chaos")

REQUEST_ID = "00000000-0000-4000-8000-00000000000c"
JOBS = 20


@pytest.fixture(scope="module")
async def used() -> AsyncIterator[tuple[Stack, Canary]]:
    """A stack that accepted predictions with canaries, and refused some; nothing has run yet."""
    canary = Canary()
    async with stack() as made:
        await made.server()
        who = live.bearer("org-canary")
        secret = PLAIN | {"department": canary.text, "education_field": canary.text, "monthly_income": canary.number}

        async def ask(request: pb.RequestPredictionRequest) -> pb.RequestPredictionResponse:
            return await made.analytics.RequestPrediction(request, metadata=who)

        for number in range(JOBS):
            await ask(untyped(secret | {"distance_from_home": number}))
        await ask(untyped(secret, request_id=REQUEST_ID))
        await ask(untyped(secret, request_id=REQUEST_ID))
        for wrong in ({"job_level": canary.text}, {"shoe_size": canary.number}, {canary.text: 1}, {"monthly_income": -canary.number}):
            await refusal(ask(untyped(secret | wrong)))
        yield made, canary


async def test_guarantee_07_a_raw_input_is_in_no_file_while_its_job_waits_and_after_it_ended(used: tuple[Stack, Canary]) -> None:
    made, canary = used
    await _written_out(made)
    assert await asyncio.to_thread(files_with, made.folder, canary) == []
    async with history.connected(made) as connection:
        assert await connection.fetchval("SELECT count(*) FROM prediction_jobs WHERE state <> 'COMPLETED'") == JOBS + 1
        worker = await made.worker()
        await history.drained(made)
        assert await connection.fetchval("SELECT count(*) FROM prediction_jobs WHERE state = 'COMPLETED'") == JOBS + 1
    await worker.kill()
    await _written_out(made)
    searched = [path for path in made.folder.rglob("*") if path.is_file()]
    assert await asyncio.to_thread(files_with, made.folder, canary) == []
    print(f"guarantee 7: {JOBS + 1} inputs, {len(searched)} files, {sum(path.stat().st_size for path in searched) >> 20} MB, 0 hits")


async def _written_out(made: Stack) -> None:
    """Have the databases put on disk what they hold; a compressed file would hide it."""
    async with history.connected(made) as connection:
        await connection.execute("CHECKPOINT")
    async with Redis.from_url(made.cluster.valkey.url) as client:
        await client.config_set("rdbcompression", "no")
        await client.bgrewriteaof()

        async def rewritten() -> bool:
            state = await client.info("persistence")
            return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])

        await until_so(rewritten)


async def _in_a_row(made: Stack, canary: Canary) -> None:
    async with history.connected(made) as connection:
        await connection.execute(
            "UPDATE audit_entries SET details = jsonb_build_object('monthly_income', $1::text::numeric)", repr(canary.number)
        )


async def _in_a_row_that_was_rolled_back(made: Stack, canary: Canary) -> None:
    async with history.connected(made) as connection:
        # Several times: a record that begins on one page of the log and ends on the next has a header in its midst.
        for _ in range(3):
            undone = connection.transaction()
            await undone.start()
            await connection.execute("UPDATE audit_entries SET actor = $1", canary.text)
            await undone.rollback()


async def _in_bytes(made: Stack, canary: Canary) -> None:
    request = untyped({"monthly_income": canary.number}).SerializeToString()
    async with history.connected(made) as connection:
        await connection.execute("UPDATE idempotency_keys SET response = $1", request)


async def _in_valkey(made: Stack, canary: Canary) -> None:
    async with Redis.from_url(made.cluster.valkey.url) as client:
        await client.set("input", f'{{"monthly_income": {canary.number}}}')


async def _in_a_log(made: Stack, canary: Canary) -> None:
    await asyncio.to_thread((made.folder / "logs" / "server-0.log").write_text, f'{{"department": "{canary.text}"}}')


async def _in_a_temporary_file(made: Stack, canary: Canary) -> None:
    await asyncio.to_thread((made.folder / "temporary" / "upload").write_text, canary.text)


LEAKS = {
    "a row": (_in_a_row, "pg/data/base/"),
    "the write-ahead log": (_in_a_row_that_was_rolled_back, "pg/data/pg_wal/"),
    "an idempotency record": (_in_bytes, "pg/data/base/"),
    "valkey": (_in_valkey, "vk/"),
    "a log": (_in_a_log, "logs/"),
    "a temporary file": (_in_a_temporary_file, "temporary/"),
}


@pytest.mark.parametrize(("leak", "place"), LEAKS.values(), ids=LEAKS)
async def test_guarantee_07_control_an_input_in_clear_is_found(
    used: tuple[Stack, Canary], leak: Callable[[Stack, Canary], Awaitable[None]], place: str
) -> None:
    made, canary = used[0], Canary()
    await leak(made, canary)
    await _written_out(made)
    hits: list[Path] = await asyncio.to_thread(files_with, made.folder, canary)
    assert any(str(path).startswith(place) for path in hits), hits
