"""`python -m server.db setup|check|revision`: roles, database and migrations, by hand or from `make run`.

`setup` needs ANALYTICS_DATABASE_URL and the roles' passwords; with ANALYTICS_ADMIN_DATABASE_URL (a superuser) it also
makes the roles and the database, without it they must be there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from server import settings as settings_module
from server.db import migrate
from server.db.bootstrap import bootstrap
from server.db.engines import DbRole, async_url, role_url
from server.settings import Settings, SettingsInvalid


async def setup(settings: Settings, admin_url: str) -> None:
    """Make roles and database when a superuser's address is given, then migrate."""
    owner = async_url(settings.database_url)
    if admin_url:
        await bootstrap(admin_url, owner, {role: str(role_url(settings, role).password or "") for role in DbRole})
    await migrate.migrate(owner)


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m server.db", description=__doc__)
    parser.add_argument("command", choices=["setup", "check", "revision"])
    parser.add_argument("message", nargs="?", default="", help="of a new revision")
    parsed = parser.parse_args(arguments)
    try:
        settings = settings_module.load()
        settings_module.require(settings, "database_url")
        if parsed.command == "setup":
            settings_module.require(settings, *(f"db_{role}_password" for role in DbRole))
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    owner = async_url(settings.database_url)
    if parsed.command == "setup":
        asyncio.run(setup(settings, os.environ.get("ANALYTICS_ADMIN_DATABASE_URL", "")))
    elif parsed.command == "revision":
        asyncio.run(migrate.make_revision(owner, parsed.message))
    else:
        try:
            asyncio.run(migrate.check(owner))
        except migrate.SchemaDiffers as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
