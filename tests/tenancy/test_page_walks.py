"""Guarantee 23: a page walk while rows come and go shows none twice and misses none that stood throughout."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import predictions_pb2 as pb
from sqlalchemy import select

from server.predictions import store
from server.predictions.tables import prediction_jobs
from tests.support import live, trained
from tests.support.asking import accepted, new_org, typed
from tests.support.leftovers import superuser
from tests.support.lists import LISTS, MODEL, MODEL_ROW
from tests.support.refusals import refusal
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    import asyncpg

    from server.db import ReadTx
    from server.identity import OrgId
    from server.predictions.model import JobFilter, PredictionJob
    from tests.support.databases import Cluster
    from tests.support.lists import Listing
    from tests.support.live import Service

    Cursor = tuple[datetime, UUID] | None

pytestmark = pytest.mark.xdist_group("page walks")

WALKS = int(os.environ.get("GUARANTEE_23_WALKS", "200"))
START = datetime(2026, 1, 1, tzinfo=UTC)
STANDING = 24
KEPT_MODEL = f"{MODEL_ROW} ON CONFLICT DO NOTHING"
_columns = prediction_jobs.c


@pytest.fixture(scope="module")
async def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service without a worker, whose rows the tests make themselves."""
    async with shared_service(cluster, tmp_path_factory.mktemp("walks"), model=False, worker=False) as service:
        yield service


@dataclass
class Findings:
    """What walks saw that they should not have."""

    walks: int = 0
    pages: int = 0
    twice: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def _instant(dice: random.Random) -> datetime:
    """One of few instants, so that many rows have the same one; a microsecond apart, which is all a cursor can tell."""
    return START + timedelta(microseconds=dice.randrange(6))


async def _walk(service: Service, connection: asyncpg.Connection, listing: Listing, dice: random.Random, findings: Findings) -> None:
    """Walk once; between two pages rows come and others go, with instants before, at and after the cursor."""
    await connection.execute(f"TRUNCATE {listing.table} CASCADE")
    await connection.execute(KEPT_MODEL, MODEL, START)
    standing = {await listing.add(connection, _instant(dice)) for _ in range(STANDING)}
    passing = [await listing.add(connection, _instant(dice)) for _ in range(8)]
    seen: list[str] = []
    token, size = "", dice.randint(1, 9)
    while True:
        ids, token = await listing.page(service, size, token)
        findings.pages += 1
        seen += ids
        if not token:
            break
        passing += [await listing.add(connection, _instant(dice)) for _ in range(dice.randint(0, 2))]
        while passing and dice.random() < 0.4:
            await listing.remove(connection, passing.pop(dice.randrange(len(passing))))
    findings.walks += 1
    findings.twice += sorted({row for row in seen if seen.count(row) > 1})
    findings.missed += sorted(standing - set(seen))


async def walk(cluster: Cluster, service: Service, listing: Listing, times: int, seed: int) -> Findings:
    """Walk a list many times."""
    findings = Findings()
    dice = random.Random(seed)
    async with superuser(cluster, service) as connection:
        for _ in range(times):
            await _walk(service, connection, listing, dice, findings)
    return findings


@pytest.mark.parametrize("name", LISTS)
async def test_guarantee_23_a_page_walk_shows_no_row_twice_and_misses_none_that_stood(cluster: Cluster, shared: Service, name: str) -> None:
    findings = await walk(cluster, shared, LISTS[name], -(-WALKS // len(LISTS)), seed=23)
    print(f"guarantee 23, {name}: {findings}")
    assert (findings.twice, findings.missed) == ([], [])
    assert findings.walks * len(LISTS) >= WALKS
    assert findings.pages > 3 * findings.walks


async def test_guarantee_23_control_pages_by_offset_show_a_row_twice_or_miss_one(
    cluster: Cluster, shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = 0

    async def page(tx: ReadTx, org: OrgId, wanted: JobFilter, before: Cursor, limit: int) -> Sequence[PredictionJob]:
        nonlocal shown
        del wanted
        shown = 0 if before is None else shown + limit - 1
        query = select(prediction_jobs).where(_columns.org_id == org).order_by(_columns.created_at.desc(), _columns.job_id.desc())
        return [store.read_job(row) for row in await tx.all(query.offset(shown).limit(limit))]

    monkeypatch.setattr(store, "page", page)
    findings = await walk(cluster, shared, LISTS["ListPredictionJobs"], 10, seed=24)
    assert findings.twice
    assert findings.missed


async def test_guarantee_23_control_an_order_without_the_id_misses_rows_of_the_same_instant(
    cluster: Cluster, shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def page(tx: ReadTx, org: OrgId, wanted: JobFilter, before: Cursor, limit: int) -> Sequence[PredictionJob]:
        del wanted
        query = select(prediction_jobs).where(_columns.org_id == org).order_by(_columns.created_at.desc()).limit(limit)
        if before is not None:
            query = query.where(_columns.created_at < before[0])
        return [store.read_job(row) for row in await tx.all(query)]

    monkeypatch.setattr(store, "page", page)
    findings = await walk(cluster, shared, LISTS["ListPredictionJobs"], 10, seed=25)
    assert findings.missed


async def test_a_job_that_is_queued_again_during_a_walk_is_shown_once(cluster: Cluster, shared: Service) -> None:
    async with superuser(cluster, shared) as connection:
        await connection.execute("TRUNCATE shared_models CASCADE")
    await trained.activate_model(shared.app)
    who = live.bearer(new_org())
    jobs = []
    for number in range(6):
        request = typed(number)
        request.schedule_time.GetCurrentTime()
        request.schedule_time.seconds += 3600
        jobs.append((await accepted(shared, who, request)).job_id)
    for job_id in jobs:
        await shared.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=job_id), metadata=who)
    seen: list[str] = []
    token = ""
    while True:
        answer = await shared.analytics.ListPredictionJobs(pb.ListPredictionJobsRequest(page_size=2, page_token=token), metadata=who)
        seen += [job.id for job in answer.jobs]
        token = answer.next_page_token
        if not token:
            break
        # The oldest, which is not shown yet, and the newest, which is.
        await accepted(shared, who, typed(0))
        await accepted(shared, who, typed(5))
    assert seen == jobs[::-1]


@pytest.mark.parametrize("name", LISTS)
async def test_a_page_of_size_0_has_50_rows_and_one_of_5000_has_1000(cluster: Cluster, shared: Service, name: str) -> None:
    listing = LISTS[name]
    async with superuser(cluster, shared) as connection:
        await connection.execute(f"TRUNCATE {listing.table} CASCADE")
        await connection.execute(KEPT_MODEL, MODEL, START)
        for number in range(1010):
            await listing.add(connection, START + timedelta(seconds=number))
    for size, shown in ((0, 50), (5000, 1000), (1, 1)):
        ids, token = await listing.page(shared, size, "")
        assert len(ids) == shown
        assert token


async def test_a_token_of_another_list_organization_or_filter_is_refused(cluster: Cluster, shared: Service) -> None:
    listing = LISTS["ListPredictionJobs"]
    async with superuser(cluster, shared) as connection:
        await connection.execute("TRUNCATE shared_models CASCADE")
        await connection.execute(KEPT_MODEL, MODEL, START)
        for _ in range(3):
            await listing.add(connection, START)
    _, token = await listing.page(shared, 1, "")
    changed = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    filtered = pb.ListPredictionJobsRequest(page_size=1, page_token=token, state=pb.PREDICTION_JOB_STATE_CANCELLED)
    for call in (
        LISTS["ListAuditEntries"].page(shared, 1, token),
        shared.analytics.ListPredictionJobs(pb.ListPredictionJobsRequest(page_size=1, page_token=token), metadata=live.bearer("other")),
        shared.analytics.ListPredictionJobs(filtered, metadata=live.bearer("walker")),
        listing.page(shared, 1, changed),
    ):
        refused = await refusal(call)
        assert (refused.reason, set(refused.fields)) == ("PAGE_TOKEN_INVALID", {"page_token"})
    # Another size is no other list.
    ids, _ = await listing.page(shared, 2, token)
    assert len(ids) == 2
