"""All SQL of training: it reads views, as role `trainer`.

What was read is turned into columns by a call outside of the transaction: that takes seconds where there are very many rows.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from server.facts.model import ATTRIBUTES, CONTRACT_ATTRIBUTES, WORK_MEASURES
from server.training.model import PooledRows, PooledSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import ReadTx
    from server.db.transaction import Record
    from server.training.model import Read

_FIXED = ("contributor", "as_of", "held_out")
_REVIEW = (
    *("target", "previous_ratio", "earlier_reviews", "months_since_review"),
    *WORK_MEASURES,
    *(name for name in ATTRIBUTES if name not in {"performance_rating", "salary_hike_percent"}),
)
_SPEND = text("SELECT contributor, series, category, as_of, amount, budget FROM pooled_spend_rows ORDER BY series, as_of")


async def pooled_turnover_rows(tx: ReadTx) -> Read[PooledRows]:
    """Read the latest labelled state of every employee of every consenting organization."""
    return await _pooled(tx, "pooled_turnover_rows", "left_within_year", ATTRIBUTES)


async def pooled_contract_rows(tx: ReadTx) -> Read[PooledRows]:
    """Read every contract with an outcome of every consenting organization."""
    return await _pooled(tx, "pooled_contract_rows", "went_wrong", ("value", *CONTRACT_ATTRIBUTES))


async def pooled_review_rows(tx: ReadTx) -> Read[PooledRows]:
    """Read every review with a target of every consenting organization, with what was known before it."""
    return await _pooled(tx, "pooled_review_rows", "missed", _REVIEW)


async def pooled_spend_series(tx: ReadTx) -> Read[PooledSeries]:
    """Read the monthly series of every consenting organization."""
    return partial(_series, await tx.all(_SPEND))


async def _pooled(tx: ReadTx, view: str, label: str, names: Sequence[str]) -> Read[PooledRows]:
    # The order does not depend on where a row is stored, so that the same rows give the same folds and the same model.
    statement = text(f"SELECT {', '.join((*_FIXED, label, *names))} FROM {view} ORDER BY place")  # noqa: S608 - own names
    return partial(_rows, await tx.all(statement), names)


def _rows(rows: Sequence[Record], names: Sequence[str]) -> PooledRows:
    contributors, dates, held_out, labels, *columns = _columns(rows, len(_FIXED) + 1 + len(names))
    return PooledRows(
        columns=dict(zip(names, columns, strict=True)),
        labels=labels,
        contributors=len(set(contributors)),
        dates=dates,
        held_out=held_out,
    )


def _series(rows: Sequence[Record]) -> PooledSeries:
    contributors, series, category, months, amounts, budgets = _columns(rows, 6)
    return PooledSeries(series, category, months, amounts, budgets, len(set(contributors)))


def _columns(rows: Sequence[Record], count: int) -> list[list[Any]]:
    # One by one: `zip` of very many rows would not let another thread run meanwhile.
    return [list(map(itemgetter(place), rows)) for place in range(count)]
