"""All SQL of training: it reads one view, as role `trainer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from server.facts.model import ATTRIBUTES
from server.training.model import PooledRows

if TYPE_CHECKING:
    from server.db import ReadTx

# The order does not depend on where a row is stored, so that the same rows give the same folds and the same model.
_POOLED = text(
    f"SELECT contributor, as_of, left_within_year, {', '.join(ATTRIBUTES)} FROM pooled_turnover_rows ORDER BY place"  # noqa: S608 - own names
)


async def pooled_turnover_rows(tx: ReadTx) -> PooledRows:
    """Return the latest labelled state of every employee of every consenting organization."""
    rows = await tx.all(_POOLED)
    columns = list(zip(*rows, strict=True)) if rows else [()] * (3 + len(ATTRIBUTES))
    contributors, dates, labels = columns[:3]
    return PooledRows(
        columns=dict(zip(ATTRIBUTES, columns[3:], strict=True)),
        labels=labels,
        contributors=len(set(contributors)),
        cutoff=max(dates, default=None),
    )
