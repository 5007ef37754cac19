"""Organizations that contribute, written past the service, and the job that releases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from server.identity import RunId
from server.schedule.calendar import MONTHLY_BENCHMARKS
from server.schedule.model import Claim
from tests.support.leftovers import superuser
from workers.benchmarks import update_benchmarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from tests.support.databases import Cluster
    from tests.support.live import Service

TURNOVER, PAY = "employee_turnover_rate", "payroll_cost_per_employee"
THIS_MONTH = datetime.now(UTC).date().replace(day=1)


@dataclass(frozen=True)
class Value:
    """What an organization contributes to a metric."""

    org: str
    value: float
    industry: str = "technology"
    size: str = "50-200"
    metric: str = TURNOVER
    weight: float = 1.0
    currency: str = ""
    period: date = THIS_MONTH


def values(prefix: str, count: int, industry: str = "technology", size: str = "50-200") -> list[Value]:
    """Return organizations with turnover 0.10, 0.11 and so on."""
    return [Value(f"{prefix}-{number:03}", 0.1 + number / 100, industry, size) for number in range(count)]


async def contribute(cluster: Cluster, service: Service, rows: Iterable[Value]) -> None:
    """Write metrics and profiles; no profile where industry and size are empty."""
    async with superuser(cluster, service) as connection:
        await write(connection, list(rows))


async def write(connection: asyncpg.Connection, rows: Sequence[Value]) -> None:
    """Write metrics and profiles by an open connection of a superuser."""
    await connection.executemany(
        "INSERT INTO organization_metrics (org_id, metric, period, value, weight, currency, computed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT (org_id, metric, period)"
        " DO UPDATE SET value = excluded.value, weight = excluded.weight, currency = excluded.currency",
        [(row.org, row.metric, row.period, row.value, row.weight, row.currency) for row in rows],
    )
    profiles = {row.org: row for row in rows if row.industry or row.size}
    await connection.executemany(
        "INSERT INTO organization_profiles (org_id, display_name, industry, size_range, revision, updated_at)"
        " VALUES ($1, '', $2, $3, 1, now())"
        " ON CONFLICT (org_id) DO UPDATE SET industry = excluded.industry, size_range = excluded.size_range",
        [(org, row.industry, row.size) for org, row in profiles.items()],
    )


async def consent(cluster: Cluster, service: Service, orgs: Iterable[str], *, given: bool) -> None:
    """Switch the contribution of organizations on or off."""
    async with superuser(cluster, service) as connection:
        await connection.executemany(
            "INSERT INTO tenant_switches (org_id, pooled_training, benchmark_contribution, retain_prediction_inputs, revision, updated_at)"
            " VALUES ($1, true, $2, false, 1, now()) ON CONFLICT (org_id) DO UPDATE SET benchmark_contribution = $2",
            [(org, given) for org in orgs],
        )


async def release(service: Service, run: UUID | None = None) -> dict[str, int]:
    """Run the job; returns its counts."""
    claim = Claim(RunId(run or uuid4()), MONTHLY_BENCHMARKS, "", uuid4(), "")
    counts = await update_benchmarks(service.app, claim, lambda _share, _words: None)
    return {name: count for name, count in counts.items() if isinstance(count, int)}
