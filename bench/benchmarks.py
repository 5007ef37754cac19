"""The monthly benchmarks: one release of six metrics over ten thousand organizations, beside reading their values and numpy alone."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import numpy as np
from sqlalchemy.engine import make_url

from bench.measure import Row
from server import app as composition
from server.benchmarks.catalogue import METRICS, Unit
from server.benchmarks.model import INDUSTRIES, SIZES
from server.identity import RunId
from server.schedule.calendar import MONTHLY_BENCHMARKS
from server.schedule.model import Claim
from workers.benchmarks import update_benchmarks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.context import Service
    from server.app import App

ORGS = 10_000
KEPT = 15
"""Releases that the first measured one is compared with: those of 470 days, monthly."""
RELEASES = 3
SECONDS = 5.0
_NAME = "benchmarks"


async def benchmarks(service: Service) -> list[Row]:
    """Release every month of a year and a half, while organizations come and go; of the last three the slowest counts."""
    orgs, kept = service.some(ORGS), service.some(KEPT)
    took, floors = [], []
    async with _filled(service, orgs) as (app, admin):
        for number in range(kept + RELEASES):
            await _month(admin, number)
            began = time.perf_counter()
            await update_benchmarks(app, Claim(RunId(uuid4()), MONTHLY_BENCHMARKS, "", uuid4(), ""), lambda _share, _words: None)
            if number >= kept:
                took.append(time.perf_counter() - began)
                floors.append(await _plain(admin))
    slowest, floor = max(took), min(floors)
    return [
        Row(
            f"benchmarks of {orgs:,} organizations, 6 metrics",
            f"{slowest:.2f} s",
            f"read and numpy.quantile {floor:.2f} s",
            slowest / floor,
            (min(took) / floor, slowest / floor),
            f"<= {SECONDS:.0f} s",
            slowest <= SECONDS,
            f"the slowest of {RELEASES} releases after {kept} that are kept, each with two of a hundred organizations gone and others come",
        )
    ]


async def _month(admin: asyncpg.Connection, number: int) -> None:
    """Let a month go by: two of a hundred organizations go, as many others come in their places, and all values move."""
    await admin.execute("UPDATE benchmark_releases SET released_at = released_at - interval '1 month'")
    for table in ("organization_metrics", "organization_profiles"):
        await admin.execute(f"UPDATE {table} SET org_id = org_id || '+' WHERE abs(hashtext(org_id) % 50) = $1", number)  # noqa: S608 - own names
    await admin.execute("UPDATE organization_metrics SET value = value * (0.98 + 0.04 * random())")


async def _plain(admin: asyncpg.Connection) -> float:
    """Return the seconds that the figures take without any disclosure control."""
    began = time.perf_counter()
    rows = await admin.fetch(
        "SELECT metric, industry, size_range, value FROM organization_metrics JOIN organization_profiles USING (org_id)"
    )
    cells: dict[tuple[str, str, str], list[float]] = {}
    for metric, industry, size, value in rows:
        for place in ((industry, size), (industry, ""), ("", size), ("", "")):
            cells.setdefault((metric, *place), []).append(value)
    for values in cells.values():
        np.quantile(values, [0.25, 0.5, 0.75])
    return time.perf_counter() - began


@asynccontextmanager
async def _filled(service: Service, orgs: int) -> AsyncIterator[tuple[App, asyncpg.Connection]]:
    """Make a database with organizations of every industry and size, larger sizes rarer."""
    made = service.made
    await made.prepare(_NAME)
    dice = np.random.default_rng(0)
    sizes = dice.choice(len(SIZES), orgs, p=[0.5, 0.25, 0.15, 0.07, 0.03])
    names = [f"org-{number:05}" for number in range(orgs)]
    profiles = [(name, INDUSTRIES[number % 6].value, SIZES[sizes[number]].value) for number, name in enumerate(names)]
    admin = await asyncpg.connect(made.postgres.admin_url, database=_NAME)
    try:
        await admin.executemany("INSERT INTO organization_profiles VALUES ($1, '', $2, $3, 1, now())", profiles)
        for metric in METRICS:
            values = dice.lognormal(-2 if metric.unit is not Unit.MONEY else 11, 0.5, orgs)
            currency = "EUR" if metric.unit is Unit.MONEY else ""
            weights = dice.lognormal(4, 1, orgs)
            rows = [
                (name, metric.name, value, weight, currency)
                for name, value, weight in zip(names, values.tolist(), weights.tolist(), strict=True)
            ]
            await admin.executemany(
                "INSERT INTO organization_metrics VALUES ($1, $2, date_trunc('month', now())::date, $3, $4, $5, now())", rows
            )
        await admin.execute("ANALYZE")
        settings = made.settings(_NAME)
        assert make_url(settings.database_url).database == _NAME
        async with composition.running(settings) as app:
            yield app, admin
    finally:
        await admin.close()
        await made.drop(_NAME)
