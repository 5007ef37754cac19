"""A database full of employees, for the nightly run: every organization as large as the other, facts of the HR part alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import asyncpg
import numpy as np

from server import app as composition
from server.facts.model import ATTRIBUTES
from server.wire.employees import employee
from tests.support import rows, trained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.stack import Databases
    from server.registry.model import Artifact

PEOPLE = 1_000
"""Employees of an organization; `LEAVERS` of them have left within the last year."""
LEAVERS = 60
_POOL = 50
"""Organizations that are made up; the others have the same people under another name."""

_TABLES = "insights, insight_views, outbox, events, event_sequences, organization_metrics, job_run_organizations, scheduled_runs, job_runs"
_KNOWN = f"employee_key, as_of, {', '.join(ATTRIBUTES)}"
_MADE = f"CREATE TABLE made_employees AS SELECT 0 AS pool, 0 AS place, {_KNOWN} FROM employees"  # noqa: S608 - names of our own columns
_EMPLOYEES = f"""
INSERT INTO employees (org_id, {_KNOWN}, updated_at) SELECT 'org-' || lpad(n::text, 5, '0'), {_KNOWN}, now()
FROM generate_series(0, $1 - 1) n JOIN made_employees ON pool = n % {_POOL} ORDER BY n, employee_key
"""  # noqa: S608 - the same
_EXITS = f"""
INSERT INTO employee_exits (org_id, employee_key, exit_date, kind, updated_at)
SELECT 'org-' || lpad(n::text, 5, '0'), employee_key, current_date - 10 - (5 * place) % 330, 'voluntary', now()
FROM generate_series(0, $1 - 1) n JOIN made_employees ON pool = n % {_POOL} WHERE place < {LEAVERS}
"""  # noqa: S608 - numbers of our own
_ORGANIZATIONS = """
INSERT INTO organizations SELECT 'org-' || lpad(n::text, 5, '0'), now() FROM generate_series(0, $1 - 1) n
"""


@dataclass(slots=True)
class Filled:
    """A database, the superuser's connection, the active turnover model, and how many organizations there are."""

    made: Databases
    name: str
    admin: asyncpg.Connection
    model: Artifact
    orgs: int

    async def empty(self) -> None:
        """Forget every run and what it found."""
        await self.admin.execute(f"TRUNCATE {_TABLES}")
        await self.admin.execute("CHECKPOINT")


@asynccontextmanager
async def filled(made: Databases, name: str, orgs: int) -> AsyncIterator[Filled]:
    """Make a database; it is dropped at the end."""
    await made.prepare(name)
    admin = await asyncpg.connect(made.postgres.admin_url, database=name)
    try:
        await _make_people(admin)
        model = trained.made()
        async with composition.running(made.settings(name)) as app:
            await trained.activate(app, model)
        for statement in (_EMPLOYEES, _EXITS, _ORGANIZATIONS):
            await admin.execute(statement, orgs, timeout=None)
        await admin.execute("VACUUM (ANALYZE)", timeout=None)
        yield Filled(made, name, admin, model.artifact, orgs)
    finally:
        await admin.close()
        await made.drop(name)


async def _make_people(admin: asyncpg.Connection) -> None:
    """COPY the people of some organizations, all attributes known but for one in twenty."""
    await admin.execute(_MADE)
    dice = np.random.default_rng(0)
    newest: date = await admin.fetchval("SELECT date_trunc('month', now())::date - 1")
    people = [_person(dice, number, newest) for number in range(_POOL * PEOPLE)]
    await admin.copy_records_to_table("made_employees", records=people)
    await admin.execute("ANALYZE made_employees")


def _person(dice: np.random.Generator, number: int, newest: date) -> tuple[object, ...]:
    """Somebody as of the newest month's end, or for those who have left, a year before."""
    pool, place = divmod(number, PEOPLE)
    known = _others(dice) | dict(employee(rows.employee(number, labelled=False)).attributes)
    missing = dice.random(len(ATTRIBUTES)) < 1 / 20
    values = [None if absent else known[name] for name, absent in zip(ATTRIBUTES, missing, strict=True)]
    return (pool, place, f"e-{place:06}", newest - timedelta(days=400) if place < LEAVERS else newest, *values)


def _others(dice: np.random.Generator) -> dict[str, object]:
    """What the made-up employees of the tests leave out."""
    level = [int(value) for value in dice.integers(1, 5, 8)]
    years = [float(value) for value in dice.integers(0, 20, 4)]
    return {
        "education_field": ("Engineering", "Economics", "Law", "Arts")[level[0] - 1],
        "education_level": level[1],
        "job_involvement": level[2],
        "relationship_satisfaction": level[3],
        "work_life_balance": level[4],
        "performance_rating": level[5],
        "companies_worked": level[6],
        "trainings_last_year": level[7],
        "distance_from_home": float(dice.exponential(10)),
        "salary_hike_percent": float(dice.normal(4, 2)),
        "paid_share": float(dice.normal(1, 0.05)),
        **dict(zip(("total_working_years", "years_in_current_role", "years_since_promotion", "years_with_manager"), years, strict=True)),
    }
