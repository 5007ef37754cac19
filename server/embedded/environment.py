"""The environment of the server, the worker and the set-up: what the user set, and for the rest what this machine generated."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.embedded.credentials import Passwords, SigningKey
    from server.embedded.postgres import Postgres
    from server.embedded.preflight import DataFolder
    from server.embedded.valkey import Valkey

DATABASE = "analytics"
OWNER = "owner"
_NOT_FOR_CHILDREN = ("ANALYTICS_ADMIN_DATABASE_URL", "ANALYTICSCTL_")


@dataclass(frozen=True, slots=True)
class Environment:
    """What children are started with; `admin_url` is the superuser's and goes to the set-up alone."""

    variables: dict[str, str]
    admin_url: str


def build_environment(data: DataFolder, passwords: Passwords, key: SigningKey, databases: tuple[Postgres, Valkey] | None) -> Environment:
    """Complete the present environment; a variable that is set keeps its value.

    Args:
        data: of this run.
        passwords: generated ones.
        key: of development tokens.
        databases: the embedded ones; None when the environment names others, whose passwords it must hold as well.

    """
    generated = {
        "ANALYTICS_DATA_DIR": str(data.path),
        "ANALYTICS_SECRET_KEY": passwords.secret_key,
        "ANALYTICS_JWT_KEYS": str(key.jwks_file),
        "ANALYTICS_REFLECTION": "true",
    }
    admin_url = os.environ.get("ANALYTICS_ADMIN_DATABASE_URL", "")
    if databases is not None:
        postgres, valkey = databases
        generated |= {
            "ANALYTICS_EMBEDDED": "true",
            "ANALYTICS_DATABASE_URL": postgres.url(OWNER, passwords.owner, DATABASE),
            "ANALYTICS_REDIS_URL": valkey.url,
            "ANALYTICS_DB_APP_PASSWORD": passwords.app,
            "ANALYTICS_DB_DISPATCH_PASSWORD": passwords.dispatch,
            "ANALYTICS_DB_TRAINER_PASSWORD": passwords.trainer,
            "ANALYTICS_DB_BENCHMARK_PASSWORD": passwords.benchmark,
            "ANALYTICS_DB_RELAY_PASSWORD": passwords.relay,
        }
        admin_url = postgres.admin_url
    # Neither the superuser's address nor what the user's own analyticsctl is set to concerns the children.
    own = {name: value for name, value in os.environ.items() if value and not name.startswith(_NOT_FOR_CHILDREN)}
    variables = {**generated, **own, "ANALYTICS_DATA_DIR": str(data.path)}
    return Environment(variables, admin_url)
