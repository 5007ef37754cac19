"""The nightly run's HR part done plainly, all organizations at once, in this process and as the superuser.

1. One binary COPY of the features of everybody's latest state, with organization and key, straight into one matrix: numbers as
   float4, categories as the place in the model's list that PostgreSQL looks up, all fields of one width, so that numpy reads them
   without a loop.
2. One `inplace_predict`, of raw log-odds, by as many threads as there are cores.
3. `pred_contribs` of the likeliest of every organization, as many rows as ours explained, in one call.
4. One `INSERT ... SELECT FROM unnest(...)` of the very insights that ours had found, into a table like theirs, and its commit.

What it leaves out: row-level security, a transaction per organization, calibration, exits and turnover rate, texts, the other
kinds of facts (which are empty, but ours has to look), marks of the run, events, values for the benchmarks, progress.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xgboost

from server.ml.card import Card
from server.ml.features import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg
    import numpy.typing as npt

    from bench.nightly_facts import Filled
    from server.ml.encoding import Encoder

_HEADER_BYTES, _TRAILER_BYTES = 19, 2
_ORG_BYTES, _KEY_BYTES = 9, 8
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'insights'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


@dataclass(frozen=True, slots=True)
class Bare:
    """A loaded model and the insights to be written, both made ready outside of what is measured."""

    admin: asyncpg.Connection
    booster: xgboost.Booster
    encoder: Encoder
    explained: int
    insights: Mapping[str, tuple[str, list[object]]]

    @classmethod
    async def prepare(cls, filled: Filled) -> Bare:
        """Take over what a run of ours left behind."""
        booster = xgboost.Booster(model_file=bytearray(filled.model.content))
        booster.set_param({"nthread": os.cpu_count()})
        explained = await filled.admin.fetchval("SELECT sum((data_points->>'explainedEmployeeCount')::int) FROM insights")
        columns = await filled.admin.fetch(_COLUMNS)
        arrays = ", ".join(f"array_agg({name}) AS {name}" for name, _ in columns)
        (row,) = await filled.admin.fetch(f"SELECT {arrays} FROM insights")  # noqa: S608 - names of our own columns
        await filled.admin.execute("CREATE TABLE IF NOT EXISTS bare_insights (LIKE insights INCLUDING ALL)")
        insights = {name: (kind, row[name]) for name, kind in columns}
        return cls(filled.admin, booster, Card.from_json(filled.model.card).encoder, explained, insights)

    async def run(self) -> dict[str, float]:
        """Do it; returns the seconds of each stage."""
        await self.admin.execute("TRUNCATE bare_insights")
        await self.admin.execute("CHECKPOINT")
        marks = [time.perf_counter()]
        orgs, matrix = await self._read()
        marks.append(time.perf_counter())
        margins = self.booster.inplace_predict(matrix, predict_type="margin")
        marks.append(time.perf_counter())
        self.booster.predict(xgboost.DMatrix(matrix[self._likeliest(orgs, margins)]), pred_contribs=True)
        marks.append(time.perf_counter())
        arrays = ", ".join(f"${place}::{kind}[]" for place, (kind, _) in enumerate(self.insights.values(), 1))
        statement = f"INSERT INTO bare_insights ({', '.join(self.insights)}) SELECT * FROM unnest({arrays})"  # noqa: S608 - the same
        await self.admin.execute(statement, *(values for _, values in self.insights.values()))
        marks.append(time.perf_counter())
        return dict(zip(("read", "predict", "explain", "write"), np.diff(marks).tolist(), strict=True))

    async def _read(self) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.float32]]:
        """Organizations, in the order of the table, and the matrix."""
        features = self.encoder.features
        fields = [("org", f"S{_ORG_BYTES}"), ("key", f"S{_KEY_BYTES}"), *((each.feature.name, ">f4") for each in features)]
        layout = np.dtype([("count", ">i2"), *(part for name, kind in fields for part in ((f"{name}.length", ">i4"), (name, kind)))])
        received = bytearray()

        async def take(part: bytes) -> None:
            received.extend(part)

        columns = ", ".join(_number(each.feature.name, each.feature.kind, each.categories) for each in features)
        newest = f"SELECT org_id, employee_key, {columns} FROM employees WHERE as_of = (SELECT max(as_of) FROM employees)"  # noqa: S608
        await self.admin.copy_from_query(newest, output=take, format="binary")
        table = np.frombuffer(memoryview(received)[_HEADER_BYTES:-_TRAILER_BYTES], layout)
        matrix = np.empty((len(table), self.encoder.width), np.float32)
        start = 0
        for each in features:
            values = table[each.feature.name]
            if each.feature.kind is FeatureKind.CATEGORY:
                for place in range(each.width):
                    matrix[:, start + place] = np.where(np.isnan(values), values, values == place + 1)
            else:
                matrix[:, start] = values
            start += each.width
        return table["org"], matrix

    def _likeliest(self, orgs: npt.NDArray[np.bytes_], margins: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """Places of the highest log-odds of each organization, as many in all as ours explained."""
        order = np.lexsort((-margins, orgs))
        starts = np.flatnonzero(np.r_[True, orgs[order][1:] != orgs[order][:-1]])
        each = self.explained // len(starts)
        return np.concatenate([order[start : start + each] for start in starts])


def _number(name: str, kind: FeatureKind, categories: tuple[str, ...]) -> str:
    """The expression of a feature as float4, NaN where it is absent."""
    if kind is FeatureKind.CATEGORY:
        known = ", ".join(f"'{each}'" for each in categories)
        place = f"coalesce(array_position(ARRAY[{known}]::text[], {name}), 0)"
        return f"CASE WHEN {name} IS NULL THEN 'NaN'::float4 ELSE {place} END"
    value = f"{name}::int" if kind is FeatureKind.BOOLEAN else name
    return f"coalesce({value}::float4, 'NaN')"
