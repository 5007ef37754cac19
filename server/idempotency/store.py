"""All SQL of the remembered answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Interval, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from server.db import now
from server.errors import AnalyticsError, FieldViolation, Kind, Reason
from server.idempotency.tables import idempotency_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.db import ReadTx, Tx
    from server.identity import OrgId

KEPT = timedelta(hours=24)
_columns = idempotency_keys.c

_KEY = (_columns.org_id == bindparam("org")) & (_columns.method == bindparam("of")) & (_columns.request_id == bindparam("id"))
_RECALL = select(_columns.request_hash, _columns.response).where(_KEY, _columns.at >= now() - KEPT)
_EXPIRE = delete(idempotency_keys).where(_KEY, _columns.at < now() - KEPT)
_CLAIM = (
    insert(idempotency_keys)
    .values(
        org_id=bindparam("org"), method=bindparam("of"), request_id=bindparam("id"), request_hash=bindparam("hash"), response=b"", at=now()
    )
    .on_conflict_do_nothing()
)
_REMEMBER = update(idempotency_keys).where(_KEY).values(response=bindparam("answer"))
_RECALL_ALL = text(
    """
    SELECT request_id, request_hash, response FROM idempotency_keys
    WHERE org_id = :org AND method = :method AND request_id = ANY (CAST(:ids AS text[])) AND at >= (SELECT analytics_now()) - :kept
    """
).bindparams(bindparam("kept", KEPT, type_=Interval))
# In one order, so that two calls with the same ids wait for each other in a line and never in a circle.
_REMEMBER_ALL = text(
    """
    INSERT INTO idempotency_keys AS k (org_id, method, request_id, request_hash, response, at)
    SELECT :org, :method, a.request_id, a.request_hash, a.response, analytics_now()
    FROM unnest(CAST(:ids AS text[]), CAST(:hashes AS bytea[]), CAST(:responses AS bytea[])) AS a (request_id, request_hash, response)
    ORDER BY a.request_id
    ON CONFLICT (org_id, method, request_id) DO UPDATE
    SET request_hash = excluded.request_hash, response = excluded.response, at = excluded.at
    WHERE k.at < (SELECT analytics_now()) - :kept
    """
).bindparams(bindparam("kept", KEPT, type_=Interval))


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, and to what."""

    request_hash: bytes
    response: bytes


async def recall(tx: ReadTx, org: OrgId, method: str, request_id: str, request_hash: bytes) -> bytes | None:
    """Return the first answer to a request, or None when the id is new.

    Raises:
        AnalyticsError: IDEMPOTENCY_KEY_REUSED, the id was used for another request.

    """
    first = await tx.first(_RECALL, _key(org, method, request_id))
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


async def recall_all(tx: ReadTx, org: OrgId, method: str, request_ids: Sequence[str]) -> Mapping[str, Answer]:
    """Return the first answers to many requests, by their ids; the caller compares what was asked."""
    rows = await tx.all(_RECALL_ALL, {"org": org, "method": method, "ids": list(request_ids)})
    return {row.request_id: Answer(bytes(row.request_hash), bytes(row.response)) for row in rows}


async def remember_all(tx: Tx, org: OrgId, method: str, answers: Mapping[str, Answer]) -> None:
    """Store first answers to many requests; an id that has one keeps it.

    Nobody waits for these as `claim` makes others wait: for acts that are the same however often they are done.
    """
    parameters = {
        "org": org,
        "method": method,
        "ids": list(answers),
        "hashes": [answer.request_hash for answer in answers.values()],
        "responses": [answer.response for answer in answers.values()],
    }
    await tx.run(_REMEMBER_ALL, parameters)


async def claim(tx: Tx, org: OrgId, method: str, request_id: str, request_hash: bytes) -> bytes | None:
    """Reserve the id for this transaction, or return the first answer to the same request.

    A concurrent call with the same id waits here until the first one has committed or rolled back.

    Raises:
        AnalyticsError: IDEMPOTENCY_KEY_REUSED, the id was used for another request.

    """
    key = _key(org, method, request_id)
    await tx.run(_EXPIRE, key)
    if await tx.run(_CLAIM, {**key, "hash": request_hash}):
        return None
    return await recall(tx, org, method, request_id, request_hash)


async def remember(tx: Tx, org: OrgId, method: str, request_id: str, response: bytes) -> None:
    """Store the answer under an id that this transaction claimed."""
    await tx.run(_REMEMBER, {**_key(org, method, request_id), "answer": response})


def _key(org: OrgId, method: str, request_id: str) -> Mapping[str, str]:
    return {"org": org, "of": method, "id": request_id}
