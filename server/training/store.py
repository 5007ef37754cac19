"""All SQL of training: it reads views, as role `trainer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from server.facts.model import ATTRIBUTES, CONTRACT_ATTRIBUTES, WORK_MEASURES
from server.training.model import PooledRows, PooledSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import ReadTx

_FIXED = ("contributor", "as_of", "held_out")
_REVIEW = (
    *("target", "previous_ratio", "earlier_reviews", "months_since_review"),
    *WORK_MEASURES,
    *(name for name in ATTRIBUTES if name not in {"performance_rating", "salary_hike_percent"}),
)
_SPEND = text("SELECT contributor, series, category, as_of, amount, budget FROM pooled_spend_rows ORDER BY series, as_of")


async def pooled_turnover_rows(tx: ReadTx) -> PooledRows:
    """Return the latest labelled state of every employee of every consenting organization."""
    return await _pooled(tx, "pooled_turnover_rows", "left_within_year", ATTRIBUTES)


async def pooled_contract_rows(tx: ReadTx) -> PooledRows:
    """Return every contract with an outcome of every consenting organization."""
    return await _pooled(tx, "pooled_contract_rows", "went_wrong", ("value", *CONTRACT_ATTRIBUTES))


async def pooled_review_rows(tx: ReadTx) -> PooledRows:
    """Return every review with a target of every consenting organization, with what was known before it."""
    return await _pooled(tx, "pooled_review_rows", "missed", _REVIEW)


async def pooled_spend_series(tx: ReadTx) -> PooledSeries:
    """Return the monthly series of every consenting organization."""
    rows = await tx.all(_SPEND)
    contributors, series, category, months, amounts, budgets = zip(*rows, strict=True) if rows else [()] * 6
    return PooledSeries(series, category, months, amounts, budgets, len(set(contributors)))


async def _pooled(tx: ReadTx, view: str, label: str, names: Sequence[str]) -> PooledRows:
    # The order does not depend on where a row is stored, so that the same rows give the same folds and the same model.
    statement = text(f"SELECT {', '.join((*_FIXED, label, *names))} FROM {view} ORDER BY place")  # noqa: S608 - own names
    rows = await tx.all(statement)
    columns = list(zip(*rows, strict=True)) if rows else [()] * (len(_FIXED) + 1 + len(names))
    contributors, dates, held_out, labels = columns[:4]
    return PooledRows(
        columns=dict(zip(names, columns[4:], strict=True)),
        labels=labels,
        contributors=len(set(contributors)),
        dates=dates,
        held_out=held_out,
    )
