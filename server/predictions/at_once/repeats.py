"""Requests checked against the active versions that this process saw last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from server.errors import AnalyticsError
from server.predictions.at_once import store
from server.predictions.request import Accepted, Prepared, check, count, new_job

if TYPE_CHECKING:
    from server.audit.model import Origin
    from server.db import Database
    from server.predictions.request import Basis, Checked, Wanted
    from server.registry.model import ModelType


class RememberedModels:
    """One version per model type; only ever a guess."""

    def __init__(self, db: Database) -> None:
        """Nothing was seen yet."""
        self._db = db
        self._active: dict[ModelType, Basis] = {}

    def remember(self, basis: Basis) -> None:
        """Keep the version that a transaction found to be the active one."""
        self._active[basis.model.type] = replace(basis, stored={})

    async def request(self, origin: Origin, wanted: Wanted, traceparent: str) -> Accepted | Prepared | None:
        """Answer a duplicate, audited, or prepare a new request; None when that takes a transaction."""
        checked = self._check(wanted)
        if checked is None:
            return None
        model, fresh = checked.model, new_job(origin, checked, None, traceparent)
        found = await store.repeat(self._db, origin, fresh)
        if found is None:
            self._active.pop(model.type, None)
            return None
        if found.twin is None:
            return Prepared(model, checked.features, fresh, None)
        if not found.answered:
            return Prepared(model, checked.features, new_job(origin, checked, found.twin, traceparent), found.twin)
        accepted = Accepted(found.twin, deduplicated=True)
        count([accepted])
        return accepted

    def _check(self, wanted: Wanted) -> Checked | None:
        basis = self._active.get(wanted.model_type)
        if basis is None or wanted.employee_key:
            return None
        try:
            return check(basis, wanted)
        except AnalyticsError:
            # Whether the input is wrong is for the version that is active to say.
            return None
