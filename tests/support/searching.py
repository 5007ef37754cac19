"""Canaries looked for in everything that a service stores."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING

from tests.support.leftovers import superuser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

    from tests.support.databases import Cluster
    from tests.support.live import Service

TEXT = "CANARY-7f3a91"
NUMBER = 8_675_309.4257
"""A number of so many digits stands nowhere by chance; allowed as a monthly income."""


def found(content: bytes) -> bool:
    """Whether a canary stands in some bytes, as text, as digits or in base64."""
    return any(form in content for form in _forms())


def _forms() -> Iterator[bytes]:
    for plain in (TEXT.encode(), b"8675309.42", b"8675309425"):
        yield plain
        # The part of the base64 form that is the same at every offset would be too short; three offsets cover all.
        for offset in range(3):
            yield base64.b64encode(b"\x00" * offset + plain)[4:-4]
    yield from (struct.pack(order, NUMBER) for order in ("<d", ">d"))


async def in_postgresql(cluster: Cluster, service: Service) -> list[str]:
    """Return the tables with a canary in some column of some row."""
    async with superuser(cluster, service) as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        )
        return [table["relname"] for table in tables if found(await _whole(connection, table["relname"]))]


async def _whole(connection: asyncpg.Connection, table: str) -> bytes:
    # As text, and the bytes of bytea columns as they are.
    rows = await connection.fetch(f"SELECT to_jsonb(t)::text AS whole, t.* FROM {table} t")  # noqa: S608 - a name from the catalogue
    raw = [value for row in rows for value in row.values() if isinstance(value, bytes)]
    return b"\n".join([row["whole"].encode() for row in rows] + raw)


async def in_valkey(service: Service) -> list[bytes]:
    """Return the keys of Valkey with a canary in the key or in what it holds."""
    client = service.app.valkey.client
    # DUMP would hide a text in compressed form.
    await client.config_set("rdbcompression", "no")
    hits = []
    for key in await client.keys("*"):
        content = await client.dump(key) or b""
        if found(key) or found(content):
            hits.append(key)
    return hits
