"""Engines: one pool per database role, each with that role's own password."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
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
    """Make an engine that connects lazily; a connection that died is replaced before it is used.

    `jit=off`: our statements are short, and compiling one costs more than running it.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=False,
        pool_use_lifo=True,
        connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": {"jit": "off", "timezone": "UTC"}},
    )
