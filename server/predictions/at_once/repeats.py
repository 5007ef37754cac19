"""Requests checked against the active versions that this process saw last."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from server.errors import AnalyticsError
from server.predictions.at_once import store
from server.predictions.request import Accepted, Checked, Prepared, check, count, new_job

if TYPE_CHECKING:
    from server.audit.model import Origin
    from server.db import Database
    from server.identity import ModelId, OrgId
    from server.predictions.model import InputHash
    from server.predictions.request import Basis, Wanted
    from server.registry.model import ModelType

_Key: TypeAlias = "tuple[OrgId, ModelId, bytes]"
_HASHES_KEPT = 4_096


class RememberedModels:
    """One version per model type; only ever a guess. And what inputs hashed to that were asked for lately."""

    def __init__(self, db: Database) -> None:
        """Nothing was seen yet."""
        self._db = db
        self._active: dict[ModelType, Basis] = {}
        # By organization too: how soon an answer comes must not tell what another one asked for.
        self._hashes: OrderedDict[_Key, InputHash] = OrderedDict()

    def remember(self, basis: Basis) -> None:
        """Keep the version that a transaction found to be the active one."""
        self._active[basis.model.type] = replace(basis, stored={})

    async def request(self, origin: Origin, wanted: Wanted, traceparent: str) -> Accepted | Prepared | None:
        """Answer a duplicate, audited, or prepare a new request; None when that takes a transaction."""
        basis = self._active.get(wanted.model_type)
        if basis is None or wanted.subject is not None:
            return None
        known = self._hashes.get(key := (origin.org, basis.model.model_id, wanted.digest))
        checked = _fitting(basis, wanted) if known is None else Checked(basis.model, {}, known, wanted)
        if checked is None:
            return None
        self._keep(key, checked.input_hash)
        fresh = new_job(origin, checked, None, traceparent)
        found = await store.repeat(self._db, origin, fresh)
        if found is None:
            self._active.pop(wanted.model_type, None)
            return None
        if found.twin is not None and found.answered:
            accepted = Accepted(found.twin, deduplicated=True)
            count([accepted])
            return accepted
        # The hash was enough to look for a twin; to queue a job takes the features.
        features = checked.features or check(basis, wanted).features
        new = fresh if found.twin is None else new_job(origin, checked, found.twin, traceparent)
        return Prepared(basis.model, features, new, found.twin)

    def _keep(self, key: _Key, input_hash: InputHash) -> None:
        self._hashes[key] = input_hash
        self._hashes.move_to_end(key)
        if len(self._hashes) > _HASHES_KEPT:
            self._hashes.popitem(last=False)


def _fitting(basis: Basis, wanted: Wanted) -> Checked | None:
    """Check an input; None when it does not fit, for whether it is wrong is for the version that is active to say."""
    try:
        return check(basis, wanted)
    except AnalyticsError:
        return None
