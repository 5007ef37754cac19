"""What PublishEvents does with the events it gets: one effect per id, each event accepted or refused by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from analytics.events.v1 import event_service_pb2 as pb

from server.errors import AnalyticsError, FieldViolation, Kind, Reason, invalid_argument
from server.idempotency import store as idempotency
from server.predictions.request import Accepted, Prepared, count
from server.rpc.accepting import accepted_message, asked_for, audit_replay, kept_inputs
from server.rpc.accepting_many import Ask, accept_each, caught, prepare_each
from server.rpc.origins import origin
from server.rpc.request_hash import request_hash
from server.rpc.status import to_status_proto
from server.telemetry.tracing import extract
from server.wire.events import TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analytics.events.v1.envelope_pb2 import Envelope

    from server.app import App
    from server.audit.model import Origin
    from server.db import Tx
    from server.identity import OrgId
    from server.rpc.call import Call

# What may differ when a producer sends the same event again.
_OF_THE_DELIVERY = frozenset({"id", "subject", "publish_time", "sequence", "traceparent"})


@dataclass(frozen=True, slots=True)
class _Inbound:
    """An event of the request: its place, its id in one spelling, and what makes another event of this id another one."""

    index: int
    event_id: str
    content: bytes
    event: Envelope


def check_tenant(events: Sequence[Envelope], org: OrgId) -> None:
    """Compare whose the events say they are with the credential, which alone decides.

    Raises:
        AnalyticsError: VALIDATION_FAILED, an event names another organization; nothing is accepted then.

    """
    for index, event in enumerate(events):
        if event.org_id and event.org_id != org:
            field, text = (
                f"events[{index}].org_id",
                "is not the organization of the credential; leave it out, or send that one's token",
            )
            raise invalid_argument(field, text)


async def publish(app: App, call: Call, events: Sequence[Envelope]) -> list[pb.PublishEventsItem]:
    """Accept or refuse each event; an id that was accepted in the last 24 hours gets its first answer."""
    inbound = []
    for index, event in enumerate(events):
        inbound.append(_Inbound(index, event.id.lower(), request_hash(event, _OF_THE_DELIVERY), event))
        # A full call of large inputs takes a second, in which others are to be served.
        await asyncio.sleep(0)
    firsts: dict[str, _Inbound] = {}
    for each in inbound:
        firsts.setdefault(each.event_id, each)
    answers = await _earlier(app, call, list(firsts.values()))
    fresh = [each for each in firsts.values() if each.event_id not in answers]
    answers |= await _predict(app, call, fresh)
    return [_item(each, firsts[each.event_id], answers[each.event_id]) for each in inbound]


_Answers = dict[str, pb.AcceptedEvent | AnalyticsError]


async def _earlier(app: App, call: Call, events: Sequence[_Inbound]) -> _Answers:
    """Return the first answers of those that were accepted before, audited as repeated requests are."""
    org, found = call.caller.org, _Answers()
    async with app.read(org) as tx:
        stored = await idempotency.recall_all(tx, org, call.method, [each.event_id for each in events])
    for each in events:
        if each.event_id in stored:
            kept = stored[each.event_id]
            found[each.event_id] = _again(kept.response) if kept.request_hash == each.content else _reused(each)
    repeated = [answer.prediction for answer in found.values() if isinstance(answer, pb.AcceptedEvent)]
    if repeated:
        async with app.tx(org) as tx:
            for first in repeated:
                await audit_replay(call, tx, first)
    return found


def _again(stored: bytes) -> pb.AcceptedEvent:
    answer = pb.AcceptedEvent.FromString(stored)
    answer.duplicate = True
    return answer


async def _predict(app: App, call: Call, events: Sequence[_Inbound]) -> _Answers:
    """Do for each event what RequestPrediction would do."""
    if not events:
        return {}
    org = call.caller.org
    origins = [replace(origin(call), correlation_id=each.event.correlation_id, causation_id=each.event_id) for each in events]
    asked = []
    for each, who in zip(events, origins, strict=True):
        asked.append(caught(partial(_ask, each, who, call)))
        await asyncio.sleep(0)
    outcomes = await prepare_each(app, org, asked)
    async with kept_inputs(app, [outcome for outcome in outcomes if isinstance(outcome, Prepared)], call) as queued:
        async with app.tx(org) as tx:
            accepted = await accept_each(app, tx, origins, outcomes)
            answers = _Answers({each.event_id: _answer(each, outcome) for each, outcome in zip(events, accepted, strict=True)})
            await _remember(tx, call, events, answers)
        done = [each for each in accepted if isinstance(each, Accepted)]
        count(done)
        queued.update(str(each.job.job_id) for each in done if not each.deduplicated)
    return answers


async def _remember(tx: Tx, call: Call, events: Sequence[_Inbound], answers: _Answers) -> None:
    """Keep the answers; what was refused may be sent again."""
    kept = {}
    for each in events:
        answer = answers[each.event_id]
        if isinstance(answer, pb.AcceptedEvent):
            kept[each.event_id] = idempotency.Answer(each.content, answer.SerializeToString())
    await idempotency.remember_all(tx, call.caller.org, call.method, kept)


def _ask(each: _Inbound, who: Origin, call: Call) -> Ask:
    event, path = each.event, f"events[{each.index}]."
    kind = _type(event, path)
    wanted = asked_for(getattr(event, kind).prediction, f"{path}{kind}.prediction.")
    return Ask(wanted, who, event.traceparent if extract(event.traceparent) is not None else call.traceparent)


def _type(event: Envelope, path: str) -> str:
    """Return the payload's field of an event that is taken.

    Raises:
        AnalyticsError: EVENT_TYPE_REFUSED, or VALIDATION_FAILED where type and payload do not go together.

    """
    field = event.WhichOneof("payload") or ""
    name = event.type or next((known.name for known in TYPES.values() if known.field == field), "")
    known = TYPES.get(name)
    if known is None or known.sent:
        taken = ", ".join(sorted(each.name for each in TYPES.values() if not each.sent))
        why = "is sent by the service and not taken" if known is not None else "is unknown" if name else "is missing"
        text = f"{why}; events that are taken: {taken}"
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT,
            Reason.EVENT_TYPE_REFUSED,
            f"{path}type: {text}",
            violations=[FieldViolation(f"{path}type", text)],
            metadata={"type": name},
        )
    if field != known.field:
        where, text = f"{path}payload", f"an event of type {name} has {known.field}"
        raise invalid_argument(where, f"{text}, not {field}" if field else text)
    if not getattr(event, field).HasField("prediction"):
        where = f"{path}{field}.prediction"
        raise invalid_argument(where, "is required")
    return field


def _answer(each: _Inbound, outcome: Accepted | AnalyticsError) -> pb.AcceptedEvent | AnalyticsError:
    if isinstance(outcome, AnalyticsError):
        return outcome
    return pb.AcceptedEvent(event_id=each.event_id, prediction=accepted_message(outcome))


def _item(each: _Inbound, first: _Inbound, answer: pb.AcceptedEvent | AnalyticsError) -> pb.PublishEventsItem:
    if each.content != first.content:
        answer = _reused(each)
    if isinstance(answer, AnalyticsError):
        return pb.PublishEventsItem(error=to_status_proto(answer))
    item = pb.PublishEventsItem(accepted=answer)
    item.accepted.duplicate |= each is not first
    return item


def _reused(each: _Inbound) -> AnalyticsError:
    field, text = f"events[{each.index}].id", "was already used for a different event; give every event an id of its own"
    return AnalyticsError(
        Kind.INVALID_ARGUMENT, Reason.IDEMPOTENCY_KEY_REUSED, f"{field}: {text}", violations=[FieldViolation(field, text)]
    )
