"""A request that is queued in one statement leaves exactly what one that takes a transaction leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import text

from server.db import Database
from server.identity import OrgId
from tests.support import live
from tests.support.asking import PLAIN, accepted, new_org, typed, untyped

if TYPE_CHECKING:
    import pytest

    from tests.support.live import Service

QUEUED = text("SELECT * FROM prediction_jobs WHERE org_id = :org")
# Wherever it stands at the moment: the relay takes it on as soon as it can.
TOLD = "org_id, event_id, type, subject, occurred_at, correlation_id, causation_id, traceparent, residency, provenance, payload"
EVENTS = text(
    f"SELECT {TOLD} FROM outbox WHERE org_id = :org AND type = 'prediction.requested'"  # noqa: S608 - a constant
    f" UNION ALL SELECT {TOLD} FROM events WHERE org_id = :org AND type = 'prediction.requested'"
)
ENTRIES = text("SELECT * FROM audit_entries WHERE org_id = :org AND action = 'prediction.requested'")
CHANGES = {"job_id", "event_id", "entry_id", "subject", "resource_id", "at", "org_id", "traceparent", "request_id", "correlation_id"}
OF_THE_RUN = {"attempt", "revision", "started_at", "completed_at", "result", "state", "lease_token", "lease_until", "acknowledged"}


def _transactions(monkeypatch: pytest.MonkeyPatch) -> list[OrgId]:
    """Note whose transactions that may write are opened."""
    opened: list[OrgId] = []
    tx = Database.tx

    def noted(db: Database, org: OrgId) -> object:
        opened.append(org)
        return tx(db, org)

    monkeypatch.setattr(Database, "tx", noted)
    return opened


async def _left(service: Service, org: str) -> list[dict[str, object]]:
    """The job, the event and the audit entry of an organization with one request, without what differs between any two."""
    found = []
    async with service.app.read(OrgId(org)) as tx:
        for query in (QUEUED, EVENTS, ENTRIES):
            row = await tx.one(query, {"org": org})
            assert all(row[name] for name in CHANGES & set(row.keys())), row
            dropped = CHANGES | OF_THE_RUN | {name for name, value in row.items() if name.endswith(("_at", "_time")) and value is not None}
            found.append({name: value for name, value in row.items() if name not in dropped})
    found[1]["payload"] = {name: value for name, value in found[1]["payload"].items() if name != "job_id"}
    return found


async def test_one_statement_leaves_the_same_job_event_and_audit_entry_as_a_transaction(
    shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accepted(shared, live.bearer(new_org()), typed(7))
    opened = _transactions(monkeypatch)
    at_once, by_transaction = OrgId(new_org()), OrgId(new_org())
    await accepted(shared, live.bearer(at_once), typed(7))
    assert at_once not in opened
    await accepted(shared, live.bearer(by_transaction), typed(7, request_id=str(uuid4())))
    assert by_transaction in opened
    assert await _left(shared, at_once) == await _left(shared, by_transaction)


async def test_of_identical_requests_at_once_one_is_queued_and_the_others_are_its_duplicates(shared: Service) -> None:
    await accepted(shared, live.bearer(new_org()), typed(7))
    org = new_org()
    answers = await asyncio.gather(*(accepted(shared, live.bearer(org), untyped(PLAIN)) for _ in range(20)))
    assert sorted(answer.deduplicated for answer in answers) == [False] + [True] * 19
    assert len({answer.job_id for answer in answers}) == 1
    async with shared.app.read(OrgId(org)) as tx:
        entries = await tx.all(ENTRIES, {"org": org})
        assert len(await tx.all(EVENTS, {"org": org})) == 1
    assert sorted(entry.details["deduplicated"] for entry in entries) == ["false"] + ["true"] * 19


async def test_control_a_request_with_an_id_is_seen_to_take_a_transaction(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = _transactions(monkeypatch)
    org = OrgId(new_org())
    await accepted(shared, live.bearer(org), typed(8, request_id=str(uuid4())))
    assert opened.count(org) == 1
