"""All SQL of training: it reads views, as role `trainer`.

What was read is turned into columns by a call outside of the transaction: that takes a while where there are very many rows.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from server.facts.model import (
    ATTRIBUTES,
    BOOLEAN_ATTRIBUTES,
    CONTRACT_ATTRIBUTES,
    CONTRACT_BOOLEANS,
    CONTRACT_TEXTS,
    TEXT_ATTRIBUTES,
    WORK_MEASURES,
)
from server.facts.packing import Packing, number, truth
from server.training.model import PooledRows, PooledSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import ReadTx
    from server.db.transaction import Record
    from server.training.model import Read

_TEXTS = {*TEXT_ATTRIBUTES, *CONTRACT_TEXTS}
_TRUTHS = {*BOOLEAN_ATTRIBUTES, *CONTRACT_BOOLEANS}
_PART = 65_536
"""Rows that come as one: so many are tens of megabytes, and a message of PostgreSQL has at most a thousand."""

_REVIEW = (
    *("target", "previous_ratio", "earlier_reviews", "months_since_review"),
    *WORK_MEASURES,
    *(name for name in ATTRIBUTES if name not in {"performance_rating", "salary_hike_percent"}),
)
_SPEND = text("SELECT contributor, series, category, as_of, amount, budget FROM pooled_spend_rows ORDER BY series, as_of")


async def pooled_turnover_rows(tx: ReadTx) -> Read[PooledRows]:
    """Read the first state with an outcome of every employee and year of every consenting organization."""
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
    numbers = {name: (truth if name in _TRUTHS else number)(name) for name in names if name not in _TEXTS}
    packing = Packing(
        numbers={
            "place": number("place"),
            "contributor": number("contributor"),
            "as_of": number("as_of - DATE '1970-01-01'"),
            "held_out": truth("held_out"),
            "label": truth(label),
            **numbers,
        },
        texts={name: name for name in names if name in _TEXTS},
    )
    statement = text(f"SELECT {packing.columns} FROM {view} GROUP BY place / {_PART}")  # noqa: S608 - own names
    return partial(_rows, packing, names, await tx.all(statement))


def _rows(packing: Packing, names: Sequence[str], parts: Sequence[Record]) -> PooledRows:
    packed = packing.read(parts)
    numbers = packed.numbers
    # Parts come in any order; places do not depend on where a row is stored, so that the same rows give the same folds and model.
    order = np.argsort(numbers["place"])
    return PooledRows(
        columns={name: (packed.coded(name) if name in _TEXTS else numbers[name])[order] for name in names},
        labels=numbers["label"][order] > 0,
        contributors=len(np.unique(numbers["contributor"])),
        dates=numbers["as_of"][order].astype("datetime64[D]"),
        held_out=numbers["held_out"][order] > 0,
    )


def _series(rows: Sequence[Record]) -> PooledSeries:
    contributors, series, category, months, amounts, budgets = _columns(rows, 6)
    return PooledSeries(series, category, months, amounts, budgets, len(set(contributors)))


def _columns(rows: Sequence[Record], count: int) -> list[list[Any]]:
    # One by one: `zip` of very many rows would not let another thread run meanwhile.
    return [list(map(itemgetter(place), rows)) for place in range(count)]
