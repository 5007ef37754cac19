"""Engines: one pool per database role, each with that role's own password."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

    from server.settings import Settings

CONNECT_TIMEOUT_SECONDS = 5.0
POOL_WAIT_SECONDS = 5.0


class DbRole(StrEnum):
    """Database roles; none is superuser, owner of a table or exempt from row-level security."""

    APP = "app"
    DISPATCH = "dispatch"
    TRAINER = "trainer"


def role_url(settings: Settings, role: DbRole) -> URL:
    """Return the address of the database with the role's name and password in place of the owner's."""
    passwords = {
        DbRole.APP: settings.db_app_password,
        DbRole.DISPATCH: settings.db_dispatch_password,
        DbRole.TRAINER: settings.db_trainer_password,
    }
    return async_url(settings.database_url).set(username=role.value, password=passwords[role].get_secret_value())


def async_url(url: str) -> URL:
    """`postgresql://...` for the asyncpg driver."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def make_engine(url: URL, *, pool_size: int) -> AsyncEngine:
    """Make an engine that connects lazily; a connection that the database closed is replaced before it is used.

    `jit=off`: our statements are short, and compiling one costs more than running it.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=False,
        # The parameters of a failed statement are tenants' values; its text goes to logs.
        hide_parameters=True,
        pool_use_lifo=True,
        connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": {"jit": "off", "timezone": "UTC"}},
    )
    event.listen(engine.sync_engine, "connect", _read_json)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _read_json(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Have the driver parse JSON; statements are compiled by SQLAlchemy, but rows come from the driver."""
    connection.run_async(lambda driver: driver.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads))


def _refuse_closed(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    """Have the pool reconnect where a restart of PostgreSQL ended the session.

    The event loop has heard of it by then, so this costs no round trip, as a ping before every use would.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
