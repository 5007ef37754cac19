"""Consumers that are killed and restarted, while writers commit in another order than they wrote: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from server.events import store
from server.events.model import Told, event_id
from server.identity import OrgId
from tests.support.telling import CAUSE, an_event, next_of, stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.db import Database
    from tests.support.live import Service
    from tests.support.telling import Bed

AT_ONCE = 5
ROUNDS = 30


async def write_out_of_order(db: Database, org: str, dice: random.Random, committed: Callable[[str], Awaitable[None]]) -> None:
    """Write events in transactions that are open at the same time, and commit them in an order of its own; tells of each commit."""
    for _ in range(ROUNDS):
        open_ones: list[tuple[AsyncExitStack, str]] = []
        for _ in range(dice.randint(1, AT_ONCE)):
            held = AsyncExitStack()
            tx = await held.enter_async_context(db.tx(OrgId(org)))
            event = an_event()
            await store.append_all(tx, [Told(OrgId(org), event, CAUSE)])
            open_ones.append((held, str(event_id(OrgId(org), event))))
        dice.shuffle(open_ones)
        for held, written in open_ones:
            await held.aclose()
            await committed(written)


@dataclass
class Consumer:
    """Keeps what it has dealt with and its cursor in one step, as one should; everything else dies with it."""

    service: Service
    org: str
    seen: list[str] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    cursor: str = ""
    lives: int = 0

    async def live(self, most: int) -> None:
        """Deal with at most so many events after the cursor, then die in the middle of the stream."""
        self.lives += 1
        opened = stream(self.service, self.org, cursor=self.cursor, from_start=True)
        try:
            for _ in range(most + 1):
                message = await next_of(opened)
                if message.HasField("event"):
                    self.seen.append(message.event.id)
                    self.sequences.append(message.event.sequence)
                self.cursor = message.cursor
        finally:
            opened.cancel()


@pytest.mark.parametrize("seed", range(3))
async def test_a_consumer_that_dies_at_any_moment_loses_and_doubles_nothing_while_writers_commit_out_of_order(
    shared: Service, seed: int
) -> None:
    dice, org = random.Random(seed), f"consumed-{uuid4().hex[:8]}"
    written: list[str] = []

    async def committed(event: str) -> None:
        written.append(event)

    writer = asyncio.create_task(write_out_of_order(shared.app.db, org, dice, committed))
    consumer = Consumer(shared, org)
    async with asyncio.timeout(60):
        while not writer.done() or len(consumer.seen) < len(written):
            # Killed at a point in time as well as after a number of events.
            life = asyncio.create_task(consumer.live(dice.randint(0, 9)))
            await asyncio.wait([life], timeout=dice.random() * 0.2)
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            assert life.cancelled() or life.exception() is None, life.exception()
    await writer
    print(f"{len(written)} events, {consumer.lives} lives of the consumer")
    assert sorted(consumer.seen) == sorted(written)
    assert consumer.sequences == list(range(1, len(written) + 1))
    assert consumer.lives > 3


async def test_control_a_cursor_over_the_order_of_writing_loses_events_where_one_over_the_sequence_does_not(bed: Bed) -> None:
    by_place: list[str] = []
    by_sequence: list[str] = []
    written: list[str] = []
    last = {"place": 0, "time": await bed.admin.fetchval("SELECT '-infinity'::timestamptz")}
    by_time: list[str] = []
    await bed.admin.execute("CREATE TABLE copied AS SELECT * FROM outbox; GRANT ALL ON copied TO PUBLIC")
    await bed.admin.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO copied SELECT NEW.*; RETURN NULL; END $$;"
        "CREATE TRIGGER keep AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION keep()"
    )

    async def committed(event: str) -> None:
        written.append(event)
        for row in await bed.admin.fetch("SELECT event_id, place FROM copied WHERE place > $1 ORDER BY place", last["place"]):
            by_place.append(str(row["event_id"]))
            last["place"] = row["place"]
        for row in await bed.admin.fetch("SELECT event_id, occurred_at FROM copied WHERE occurred_at > $1 ORDER BY 2", last["time"]):
            by_time.append(str(row["event_id"]))
            last["time"] = row["occurred_at"]
        await bed.relay.drain()
        by_sequence.extend(await bed.ids("held", len(by_sequence)))

    await write_out_of_order(bed.db, "held", random.Random(1), committed)
    assert by_sequence == written
    assert len(by_place) < len(written)
    assert len(by_time) < len(written)
