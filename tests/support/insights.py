"""Made-up findings, recorded as the nightly run records them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from server.events.model import Cause
from server.identity import InsightId, OrgId
from server.insights.model import Action, Finding, InsightType, Priority, Provenance
from server.insights.record import Recorded, Run, record
from server.insights.withdraw import withdraw
from server.wire.insights import encode

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from server.db import Database

CAUSE = Cause("run-1", "")
RUN = Run(encode, CAUSE)
FAR = datetime(2100, 1, 1, tzinfo=UTC)


def finding(subject: str = "cost_centre/Sales", **changes: object) -> Finding:
    """Return a finding about a subject; `changes` are fields of it that are to be different."""
    plain = Finding(
        insight_type=InsightType.PAYROLL_COST_SPIKE,
        subject=subject,
        severity=5.0,
        title="Payroll of Sales is 18 % above what its season explains",
        description="In September 2026 Sales cost EUR 412,000, EUR 63,000 more than expected. 4 of 41 people explain most of it.",
        confidence=0.93,
        data_points={"cost_centre": "Sales", "actual": 412000.5, "expected": 349000, "months": [1, 2.5, None], "worst": {"robust_z": 5.25}},
        actions=(
            Action("Check overtime of September", Priority.HIGH, "EUR 40,000 a month", "https://example.org/overtime"),
            Action("Compare with the plan", Priority.LOW),
        ),
        expires_at=FAR,
        provenance=Provenance("payroll_residuals", date(2026, 9, 30)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # by the names of the fields


def ids(count: int) -> list[InsightId]:
    """Return unused ids."""
    return [InsightId(uuid4()) for _ in range(count)]


async def recorded(db: Database, org: str, findings: Sequence[Finding], run: Run = RUN) -> Recorded:
    """Record findings in a transaction of their own."""
    async with db.tx(OrgId(org)) as tx:
        return await record(tx, OrgId(org), findings, ids(len(findings)), run)


async def withdrawn(db: Database, org: str, types: Collection[InsightType], kept: Collection[bytes] = ()) -> int:
    """Withdraw what was not found."""
    async with db.tx(OrgId(org)) as tx:
        return await withdraw(tx, OrgId(org), types, kept, CAUSE)


def in_days(days: float) -> datetime:
    """Return an instant so many days from now."""
    return datetime.now(UTC) + timedelta(days=days)
