"""The composition root: everything a process needs, made from settings in one place.

Reaches neither xgboost nor scipy, which cost the server 65 MB it has no use for; the workers add the scoring themselves.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.db import Database
from server.events.relay.loop import Relay
from server.events.watching import WatchedTails
from server.lifecycle import end
from server.predictions.backlog.count import keep_counting
from server.predictions.dispatch.loop import Dispatcher, limits
from server.predictions.inputs import InputVault
from server.predictions.upkeep.loop import Upkeep
from server.predictions.watching import WatchedJobs
from server.queue import Bell, Queue, Valkey
from server.tenants import store as tenants

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from server.db import ReadTx, Tx
    from server.identity import OrgId
    from server.settings import Settings

REQUIRED_SETTINGS = (
    "database_url",
    "redis_url",
    "db_app_password",
    "db_dispatch_password",
    "db_trainer_password",
    "db_benchmark_password",
    "db_relay_password",
    "secret_key",
)


@dataclass(frozen=True, slots=True)
class App:
    """What a process holds while it lives."""

    settings: Settings
    db: Database
    valkey: Valkey
    bell: Bell
    queue: Queue
    inputs: InputVault
    dispatcher: Dispatcher
    upkeep: Upkeep
    watched: WatchedJobs
    relay: Relay
    tails: WatchedTails

    def tx(self, org: OrgId) -> AbstractAsyncContextManager[Tx]:
        """Open a transaction of a tenant that may write."""
        return self.db.tx(org)

    def read(self, org: OrgId) -> AbstractAsyncContextManager[ReadTx]:
        """Open a transaction of a tenant that only reads."""
        return self.db.read(org)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """Make the app, keep its bell, its upkeep and its counting going, and close everything at the end."""
    app = make(settings)
    background = [
        asyncio.create_task(app.bell.listen(), name="bell"),
        asyncio.create_task(app.upkeep.run(), name="upkeep"),
        asyncio.create_task(app.watched.run(), name="watched"),
        asyncio.create_task(app.tails.run(), name="tails"),
        asyncio.create_task(keep_counting(app.db), name="backlog"),
    ]
    try:
        yield app
    finally:
        await end(*background)
        await app.queue.close()
        await app.valkey.close()
        await app.db.close()


def make(settings: Settings) -> App:
    """Wire an app together; nothing connects yet."""
    valkey = Valkey(settings.redis_url, settings.redis_timeout_seconds)
    bell = Bell(valkey)
    queue = Queue(settings.redis_url, settings.redis_timeout_seconds)
    db = Database(settings, bell.ring)
    keys = [settings.secret_key.get_secret_value(), settings.previous_secret_key.get_secret_value()]
    inputs = InputVault(valkey, keys, settings.prediction_input_ttl_seconds)
    dispatcher = Dispatcher(db, queue, bell, limits(settings))
    upkeep = Upkeep(db, inputs, settings.prediction_attempts)
    relay = Relay(db, bell, tenants.organizations)
    return App(
        settings=settings,
        db=db,
        valkey=valkey,
        bell=bell,
        queue=queue,
        inputs=inputs,
        dispatcher=dispatcher,
        upkeep=upkeep,
        watched=WatchedJobs(db, bell),
        relay=relay,
        tails=WatchedTails(db, bell),
    )
