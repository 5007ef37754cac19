"""Requests for every RPC that the descriptors name, filled from pools of own, foreign and unknown values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from uuid import UUID

from buf.validate import validate_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

SERVICES = (
    "analytics.v1.AnalyticsService",
    "analytics.v1.FactService",
    "analytics.v1.TenantService",
    "analytics.events.v1.EventService",
    "analytics.admin.v1.OperationsService",
)


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC of the contract."""

    path: str
    request: type[Message]
    response: type[Message]
    takes_stream: bool
    gives_stream: bool


@dataclass
class Pools:
    """What fields are filled with, by the name of the field; everything else is made up by type."""

    values: dict[str, Sequence[object]] = field(default_factory=dict)


def rpcs() -> list[Rpc]:
    """Return every RPC of every service of the contract."""
    pool = descriptor_pool.Default()
    return [_rpc(method) for name in SERVICES for method in pool.FindServiceByName(name).methods]


def request(rpc: Rpc, dice: random.Random, pools: Pools) -> Message:
    """Return a request that is mostly valid."""
    return _fill(rpc.request, dice, pools, depth=0)


def _rpc(method: MethodDescriptor) -> Rpc:
    return Rpc(
        f"/{method.containing_service.full_name}/{method.name}",
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
        method.client_streaming,
        method.server_streaming,
    )


def _fill(kind: type[Message], dice: random.Random, pools: Pools, depth: int) -> Message:
    message = kind()
    descriptor = kind.DESCRIPTOR
    match descriptor.full_name:
        case "google.protobuf.Timestamp":
            message.FromSeconds(1_790_000_000)  # type: ignore[attr-defined]  # a well-known type has more than its message
            return message
        case "google.protobuf.Duration":
            message.FromMilliseconds(5)  # type: ignore[attr-defined]  # a well-known type has more than its message
            return message
        case "google.protobuf.Struct":
            message.update({"department": "Sales", "job_role": "Clerk", "monthly_income": dice.randint(1, 9), "years_at_company": 3})  # type: ignore[attr-defined]  # as above
            return message
        case "google.type.Date":
            message.year, message.month, message.day = 2026, dice.randint(1, 12), 28  # type: ignore[attr-defined]  # made by its descriptor
            return message
    chosen = {one.name: dice.choice([part.name for part in one.fields]) for one in descriptor.oneofs}
    for part in descriptor.fields:
        one = part.containing_oneof
        if one is not None and len(one.fields) > 1 and chosen[one.name] != part.name:
            continue
        if depth > 6:
            continue
        _set(message, cast("FieldDescriptor", part), dice, pools, depth)
    return message


def _class_of(part: FieldDescriptor) -> type[Message]:
    if part.message_type is None:
        msg = f"{part.full_name} is no message"
        raise TypeError(msg)
    return message_factory.GetMessageClass(part.message_type)


def _set(message: Message, part: FieldDescriptor, dice: random.Random, pools: Pools, depth: int) -> None:
    if part.is_repeated:
        target = getattr(message, part.name)
        for _ in range(dice.randint(1, 2)):
            if part.type == FieldDescriptor.TYPE_MESSAGE:
                target.add().CopyFrom(_fill(_class_of(part), dice, pools, depth + 1))
            else:
                target.append(_scalar(part, dice, pools))
    elif part.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, part.name).CopyFrom(_fill(_class_of(part), dice, pools, depth + 1))
    else:
        setattr(message, part.name, _scalar(part, dice, pools))


def _scalar(part: FieldDescriptor, dice: random.Random, pools: Pools) -> object:
    # Fields of one name may be of different types.
    fitting = [value for value in pools.values.get(part.name, ()) if isinstance(value, str) == (part.type == FieldDescriptor.TYPE_STRING)]
    if fitting:
        return dice.choice(fitting)
    if part.enum_type is not None:
        return dice.choice([value.number for value in part.enum_type.values])
    if part.type == FieldDescriptor.TYPE_BOOL:
        return True
    if part.type == FieldDescriptor.TYPE_STRING and "[0-9]{1,15}" in part.GetOptions().Extensions[validate_pb2.field].string.pattern:
        return f"{dice.randint(0, 99)}.50"
    if part.type == FieldDescriptor.TYPE_STRING:
        return str(UUID(int=dice.getrandbits(128), version=4)) if part.name.endswith("_id") else f"text-{dice.randint(0, 9)}"
    return dice.randint(1, 3)
