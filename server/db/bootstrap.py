"""Make the cluster ready once: the roles (they belong to the cluster, not to a database) and the database.

Runs as a superuser, or as a role that may create roles and databases; repeating it sets the passwords anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import URL

    from server.db.engines import DbRole

_RIGHTS = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION"


async def bootstrap(admin_url: str, owner: URL, passwords: Mapping[DbRole, str]) -> None:
    """Create or renew the owner, the roles and the owner's database.

    Args:
        admin_url: of a superuser, any database.
        owner: address of the service's database with the owner's name and password.
        passwords: one per role.

    """
    admin = await asyncpg.connect(admin_url)
    try:
        await _role(admin, owner.username or "", str(owner.password or ""))
        for role, password in passwords.items():
            await _role(admin, role.value, password)
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", owner.database):
            await admin.execute(f"CREATE DATABASE {_name(owner.database or '')} OWNER {_name(owner.username or '')}")
    finally:
        await admin.close()
    superuser = await asyncpg.connect(admin_url, database=owner.database)
    try:
        await superuser.execute(f"REVOKE ALL ON DATABASE {_name(owner.database or '')} FROM PUBLIC")
        await superuser.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await superuser.execute(f"GRANT ALL ON SCHEMA public TO {_name(owner.username or '')}")
        for role in passwords:
            await superuser.execute(f"GRANT CONNECT ON DATABASE {_name(owner.database or '')} TO {_name(role.value)}")
    finally:
        await superuser.close()


async def _role(admin: asyncpg.Connection, name: str, password: str) -> None:
    known = await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if known else "CREATE"
    await admin.execute(f"{verb} ROLE {_name(name)} {_RIGHTS} PASSWORD {_text(password)}")


def _name(name: str) -> str:
    """Quote an identifier; DDL takes no parameters."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    """Quote a literal; DDL takes no parameters."""
    if "\\" in value or "\0" in value:
        msg = "a password may not contain a backslash or a NUL"
        raise ValueError(msg)
    return "'" + value.replace("'", "''") + "'"
