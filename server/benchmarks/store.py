"""All SQL of what organizations contribute and read; releases have a store of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Date, Double, Text, bindparam, delete, select, text

from server.benchmarks.model import FRESH_DAYS, Band, OrganizationMetric, Place, Sheet, Shown, Withheld
from server.benchmarks.tables import organization_metrics, shared_benchmark_cells
from server.tenants.model import Industry, SizeRange

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import BindParameter
    from sqlalchemy.types import TypeEngine

    from server.db import ReadTx, Tx
    from server.db.transaction import Record
    from server.identity import OrgId

_cells = shared_benchmark_cells.c


def arrays(**types: type[TypeEngine[Any]] | TypeEngine[Any]) -> list[BindParameter[Any]]:
    """Return parameters that are arrays, by name; the driver is told their types."""
    return [bindparam(name, type_=ARRAY(type_)) for name, type_ in types.items()]


_SAVED = [bindparam("org", type_=Text), *arrays(metrics=Text, periods=Date, numbers=Double, weights=Double, currencies=Text)]
_SAVE = text(
    """
    INSERT INTO organization_metrics (org_id, metric, period, value, weight, currency, computed_at)
    SELECT :org, m.*, analytics_now() FROM unnest(:metrics, :periods, :numbers, :weights, :currencies)
        AS m (metric, period, value, weight, currency)
    ON CONFLICT (org_id, metric, period) DO UPDATE
    SET value = excluded.value, weight = excluded.weight, currency = excluded.currency, computed_at = excluded.computed_at
    """
).bindparams(*_SAVED)
# No row is in both parts: those deleted are not saved.
_REPLACE = text(
    f"""
    WITH others AS (
        DELETE FROM organization_metrics o WHERE org_id = :org
        AND NOT EXISTS (SELECT FROM unnest(:metrics, :periods) AS m (metric, period) WHERE m.metric = o.metric AND m.period = o.period)
    ) {_SAVE.text}
    """  # noqa: S608 - the statement above
).bindparams(*_SAVED)
_OWN = text(
    f"""
    SELECT DISTINCT ON (metric) metric, period, value, weight, currency
    FROM organization_metrics, (SELECT analytics_now() AT TIME ZONE 'UTC' AS at OFFSET 0) n
    WHERE org_id = :org AND period > (n.at - interval '{FRESH_DAYS} days')::date AND period <= n.at::date
    ORDER BY metric, period DESC
    """  # noqa: S608 - a number of our own
)


async def save_metrics(tx: Tx, org: OrgId, metrics: Sequence[OrganizationMetric]) -> None:
    """Write values of an organization; one of the same metric and period is replaced."""
    await tx.run(_SAVE, _saved(org, metrics))


async def replace_metrics(tx: Tx, org: OrgId, metrics: Sequence[OrganizationMetric]) -> None:
    """Write values as `save_metrics`, and delete all others, earlier months too: what they were made of may have been erased."""
    await tx.run(_REPLACE, _saved(org, metrics))


async def forget_metrics(tx: Tx, org: OrgId, metrics: Collection[str]) -> None:
    """Delete what an organization contributed of some metrics, of every period."""
    mine = organization_metrics.c
    await tx.run(delete(organization_metrics).where(mine.org_id == org, mine.metric.in_(metrics)))


async def own_metrics(tx: ReadTx, org: OrgId) -> Mapping[str, OrganizationMetric]:
    """Return the latest fresh value of each metric of the organization, by metric."""
    rows = await tx.all(_OWN, {"org": org})
    return {row.metric: OrganizationMetric(row.metric, row.period, row.value, row.weight, row.currency) for row in rows}


async def shown_cells(tx: ReadTx, metrics: Sequence[str], currencies: Sequence[str]) -> Sequence[Shown]:
    """Return the cells of metrics in the currencies named, and in the main one of each metric."""
    wanted = _cells.main_currency | _cells.currency.in_(currencies)
    return [_shown(row) for row in await tx.all(select(shared_benchmark_cells).where(_cells.metric.in_(metrics), wanted))]


async def private_cells(tx: ReadTx) -> Mapping[tuple[Sheet, Place], Shown]:
    """Return the cells that show a private release."""
    found = [_shown(row) for row in await tx.all(select(shared_benchmark_cells).where(_cells.epsilon.is_not(None)))]
    return {(cell.sheet, cell.place): cell for cell in found}


def _shown(row: Record) -> Shown:
    figures = None if row.percentile50 is None else (float(row.percentile25), float(row.percentile50), float(row.percentile75))
    return Shown(
        sheet=Sheet(row.metric, row.currency),
        place=Place(Industry(row.industry), SizeRange(row.size_range)),
        quartiles=figures,
        band=Band(row.contributors),
        withheld=Withheld(row.withheld),
        updated_at=row.last_updated,
        epsilon=row.epsilon,
        main=row.main_currency,
    )


def _saved(org: OrgId, metrics: Sequence[OrganizationMetric]) -> dict[str, object]:
    rows = sorted(metrics, key=lambda each: (each.metric, each.period))
    return {
        "org": org,
        "metrics": [each.metric for each in rows],
        "periods": [each.period for each in rows],
        "numbers": [each.value for each in rows],
        "weights": [each.weight for each in rows],
        "currencies": [each.currency for each in rows],
    }
