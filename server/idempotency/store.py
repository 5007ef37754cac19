"""All SQL of the remembered answers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from server.db import now
from server.errors import AnalyticsError, FieldViolation, Kind, Reason
from server.idempotency.tables import idempotency_keys

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from server.db import ReadTx, Tx
    from server.identity import OrgId

KEPT = timedelta(hours=24)
_columns = idempotency_keys.c


async def recall(tx: ReadTx, org: OrgId, method: str, request_id: str, request_hash: bytes) -> bytes | None:
    """Return the first answer to a request, or None when the id is new.

    Raises:
        AnalyticsError: IDEMPOTENCY_KEY_REUSED, the id was used for another request.

    """
    first = await tx.first(
        select(_columns.request_hash, _columns.response).where(_key(org, method, request_id), _columns.at >= now() - KEPT)
    )
    if first is None:
        return None
    if first.request_hash != request_hash:
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT,
            Reason.IDEMPOTENCY_KEY_REUSED,
            "request_id: was already used for a different request; take a new UUID for a new request",
            violations=[FieldViolation("request_id", "was already used for a different request")],
        )
    return bytes(first.response)


async def claim(tx: Tx, org: OrgId, method: str, request_id: str, request_hash: bytes) -> bytes | None:
    """Reserve the id for this transaction, or return the first answer to the same request.

    A concurrent call with the same id waits here until the first one has committed or rolled back.

    Raises:
        AnalyticsError: IDEMPOTENCY_KEY_REUSED, the id was used for another request.

    """
    await tx.run(delete(idempotency_keys).where(_key(org, method, request_id), _columns.at < now() - KEPT))
    row = insert(idempotency_keys).values(
        org_id=org, method=method, request_id=request_id, request_hash=request_hash, response=b"", at=now()
    )
    if await tx.run(row.on_conflict_do_nothing()):
        return None
    return await recall(tx, org, method, request_id, request_hash)


async def remember(tx: Tx, org: OrgId, method: str, request_id: str, response: bytes) -> None:
    """Store the answer under an id that this transaction claimed."""
    await tx.run(update(idempotency_keys).where(_key(org, method, request_id)).values(response=response))


def _key(org: OrgId, method: str, request_id: str) -> ColumnElement[bool]:
    return (_columns.org_id == org) & (_columns.method == method) & (_columns.request_id == request_id)
