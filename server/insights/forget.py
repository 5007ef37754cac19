"""Erase insights together with the facts they tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.insights import store

if TYPE_CHECKING:
    from server.db import Tx
    from server.identity import OrgId


async def forget(tx: Tx, org: OrgId, key: str | None) -> int:
    """Delete insights that name a key of a fact in their data points, or with None all; returns how many.

    Whoever erases facts calls it in the same transaction. The next run finds again what still is so without that fact. Keys
    stand in data points only, never in a title or a description, where no search would find a short one.
    """
    return await store.forget(tx, org, key)
