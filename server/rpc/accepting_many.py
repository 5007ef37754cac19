"""Accepting many predictions in one call, each by itself, whichever RPC they came by."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from server.errors import AnalyticsError
from server.predictions.backlog.room import Room, caps
from server.predictions.request import Checked, Prepared, accept, check, find_twin, read_basis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.app import App
    from server.audit.model import Origin
    from server.db import ReadTx, Tx
    from server.identity import OrgId
    from server.predictions.request import Accepted, Basis, Wanted
    from server.registry.model import ModelType

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask:
    """One prediction that is asked for: by whom, and the trace that it goes on with."""

    wanted: Wanted
    origin: Origin
    traceparent: str


async def prepare_each(app: App, org: OrgId, asked: Sequence[Ask | AnalyticsError]) -> list[Prepared | AnalyticsError]:
    """Read, check and read again, so that no transaction is open while hundreds of inputs are checked; errors stay in their places."""
    known: dict[ModelType, Basis] = {}
    async with app.read(org) as tx:
        based = [each if isinstance(each, AnalyticsError) else await _based(tx, each, known) for each in asked]
    checked: list[tuple[Ask, Checked] | AnalyticsError] = []
    for pair in based:
        checked.append(pair if isinstance(pair, AnalyticsError) else caught(partial(_checked, *pair)))
        # Other callers have their turn between two inputs.
        await asyncio.sleep(0)
    async with app.read(org) as tx:
        return [each if isinstance(each, AnalyticsError) else await _twin(tx, *each) for each in checked]


async def accept_each(
    app: App, tx: Tx, origins: Sequence[Origin], outcomes: Sequence[Prepared | AnalyticsError]
) -> list[Accepted | AnalyticsError]:
    """Accept what is prepared, by `origins` in the same places; returns what became of each."""
    done: list[Accepted | AnalyticsError | None] = [outcome if isinstance(outcome, AnalyticsError) else None for outcome in outcomes]
    prepared = [(index, outcome) for index, outcome in enumerate(outcomes) if isinstance(outcome, Prepared)]
    room = Room(caps(app.settings), wanted=len(prepared))
    # Two batches with the same inputs insert them in the same order, so neither waits for the other in a circle.
    for index, ready in sorted(prepared, key=lambda pair: pair[1].new.input_hash):
        try:
            done[index] = await accept(tx, origins[index], ready, room)
        except AnalyticsError as error:
            done[index] = error
    return [outcome for outcome in done if outcome is not None]


def caught(act: Callable[[], Result]) -> Result | AnalyticsError:
    """Return what `act` returns, or the error that refuses this one item."""
    try:
        return act()
    except AnalyticsError as error:
        return error


async def _based(tx: ReadTx, ask: Ask, known: dict[ModelType, Basis]) -> tuple[Ask, Basis] | AnalyticsError:
    try:
        return ask, await read_basis(tx, ask.origin, ask.wanted, known)
    except AnalyticsError as error:
        return error


def _checked(ask: Ask, basis: Basis) -> tuple[Ask, Checked]:
    return ask, check(basis, ask.wanted)


async def _twin(tx: ReadTx, ask: Ask, checked: Checked) -> Prepared:
    return await find_twin(tx, ask.origin, checked, ask.traceparent)
