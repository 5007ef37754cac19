"""The addresses of the database: one per role, each with that role's own password."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url

if TYPE_CHECKING:
    from server.settings import Settings


class DbRole(StrEnum):
    """Database roles; none is superuser, owner of a table or exempt from row-level security."""

    APP = "app"
    DISPATCH = "dispatch"
    TRAINER = "trainer"
    BENCHMARK = "benchmark"
    RELAY = "relay"


def role_url(settings: Settings, role: DbRole) -> URL:
    """Return the address of the database with the role's name and password in place of the owner's."""
    passwords = {
        DbRole.APP: settings.db_app_password,
        DbRole.DISPATCH: settings.db_dispatch_password,
        DbRole.TRAINER: settings.db_trainer_password,
        DbRole.BENCHMARK: settings.db_benchmark_password,
        DbRole.RELAY: settings.db_relay_password,
    }
    return async_url(settings.database_url).set(username=role.value, password=passwords[role].get_secret_value())


def async_url(url: str) -> URL:
    """`postgresql://...` for the asyncpg driver."""
    return make_url(url).set(drivername="postgresql+asyncpg")
