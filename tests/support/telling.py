"""Events written by a test, a relay that publishes when it is told to, and what a reader gets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
from analytics.events.v1 import event_service_pb2 as pb

from server.db import Database
from server.db.engines import DbRole
from server.events import store
from server.events.model import Cause, PredictionCompleted, Told, event_id
from server.events.relay.loop import Relay
from server.events.tail import store as tail
from server.events.tail.store import Wanted
from server.identity import JobId, OrgId
from server.queue import Bell, Valkey
from server.tenants import store as tenants
from tests.support import environment, live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    import grpc

    from server.events.model import Event, Published
    from tests.support.databases import Cluster
    from tests.support.live import Service

    Stream = grpc.aio.UnaryStreamCall[pb.StreamEventsRequest, pb.StreamEventsResponse]

CAUSE = Cause("request-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def an_event(model_version: str = "1.0.0") -> PredictionCompleted:
    """Return an event that is no other."""
    return PredictionCompleted(JobId(uuid4()), 1, "turnover_prediction", model_version)


async def tell(db: Database, org: str, *events: Event, cause: Cause = CAUSE) -> list[str]:
    """Write events in a transaction of their organization; returns their ids."""
    async with db.tx(OrgId(org)) as tx:
        await store.append_all(tx, [Told(OrgId(org), event, cause) for event in events])
    return [str(event_id(OrgId(org), event)) for event in events]


@dataclass(frozen=True)
class Bed:
    """A database with outboxes; nothing is published but by hand."""

    db: Database
    bell: Bell
    relay: Relay
    admin: asyncpg.Connection

    async def tell(self, org: str, *events: Event) -> list[str]:
        """Write events; returns their ids."""
        return await tell(self.db, org, *events)

    async def tell_all(self, event: Event) -> None:
        """Write an event that concerns every organization."""
        async with self.db.platform(DbRole.TRAINER) as tx:
            await store.append_shared(tx, event, CAUSE)

    async def appear(self, *orgs: str) -> None:
        """Have organizations in the list of them."""
        await self.admin.executemany("INSERT INTO organizations VALUES ($1, clock_timestamp())", [(org,) for org in orgs])

    async def read(self, org: str, after: int = 0) -> list[Published]:
        """Read all that is published after a place."""
        async with self.db.read(OrgId(org)) as tx:
            return list((await tail.page(tx, OrgId(org), after, Wanted(), 10_000)).events)

    async def ids(self, org: str, after: int = 0) -> list[str]:
        """Return the ids of all that is published, and hold that their sequence has no gap."""
        found = await self.read(org, after)
        assert [event.sequence for event in found] == list(range(after + 1, after + 1 + len(found)))
        return [str(event.event_id) for event in found]


@asynccontextmanager
async def bedded(cluster: Cluster, database: str) -> AsyncIterator[Bed]:
    """Open what a test of the relay needs."""
    valkey = Valkey(cluster.valkey.url, environment.VALKEY_SECONDS)
    bell = Bell(valkey)
    db = Database(environment.settings(cluster, database), bell.ring)
    admin = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        yield Bed(db, bell, Relay(db, bell, tenants.organizations), admin)
    finally:
        await admin.close()
        await db.close()
        await valkey.close()


def stream(service: Service, org: str, **request: object) -> Stream:
    """Open a stream as a viewer of an organization."""
    return service.events.StreamEvents(pb.StreamEventsRequest(**request), metadata=live.bearer(org, "viewer"))  # type: ignore[arg-type]  # fields by name


async def next_of(opened: Stream) -> pb.StreamEventsResponse:
    """Return the next message of a stream, which must not end."""
    message = await opened.read()
    assert isinstance(message, pb.StreamEventsResponse), "the stream ended"
    assert message.cursor
    return message


async def begun(opened: Stream) -> str:
    """Return the cursor at which a stream begins: from here on it has every event."""
    first = await next_of(opened)
    assert (first.heartbeat, first.HasField("event")) == (True, False)
    return first.cursor


async def take(opened: Stream, number: int, seconds: float = 20.0) -> list[pb.StreamEventsResponse]:
    """Return the next so many messages with events."""
    found: list[pb.StreamEventsResponse] = []
    async with asyncio.timeout(seconds):
        while len(found) < number:
            message = await next_of(opened)
            if message.HasField("event"):
                found.append(message)
    return found


def ids(messages: Sequence[pb.StreamEventsResponse]) -> list[str]:
    """Return the ids of the events of messages."""
    return [message.event.id for message in messages]


def uuids(found: Sequence[Published]) -> list[UUID]:
    """Return the ids of events."""
    return [event.event_id for event in found]
