"""Requests for predictions as domain values: each typed input becomes features by name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from server.errors import Reason, invalid_argument
from server.ml.performance import LEAKING, ratio
from server.ml.spend import YEAR, history_features
from server.predictions.request import Wanted
from server.predictions.stored import Subject
from server.registry.model import ModelType
from server.wire.employees import attributes
from server.wire.facts import FieldInvalid, month, present
from server.wire.models import model_type
from server.wire.structs import flat_values
from server.wire.times import instant

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.v1 import predictions_pb2 as pb
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    _Read = tuple[dict[str, object], Subject | None, bytes]

_INPUTS = {
    "turnover": ModelType.TURNOVER_PREDICTION,
    "spend": ModelType.SPEND_FORECASTING,
    "contract_risk": ModelType.CONTRACT_RISK,
    "performance": ModelType.PERFORMANCE_PREDICTION,
}
_FARTHEST = 12


def wanted(message: pb.RequestPredictionRequest | pb.PredictionInput, prefix: str = "") -> Wanted:
    """Return the request as the use case takes it; `prefix` is where the message stands in the call's request.

    Raises:
        AnalyticsError: INPUT_SCHEMA_MISMATCH for an input of another type or of the wrong shape, VALIDATION_FAILED for a time
            that is none.

    """
    schedule_time = _instant(message.schedule_time, f"{prefix}schedule_time") if message.HasField("schedule_time") else None
    kind, given = model_type(message.model_type), message.WhichOneof("input") or "features"
    path = f"{prefix}{given}"
    if given in _INPUTS and _INPUTS[given] is not kind:
        raise invalid_argument(path, f"is no input of {kind}", Reason.INPUT_SCHEMA_MISMATCH)
    match given:
        case "turnover":
            path = f"{path}.attributes"
            features, subject, digest = _turnover(message.turnover)
        case "contract_risk":
            path = f"{path}.attributes"
            features, subject, digest = _contract_risk(message.contract_risk)
        case "performance":
            features, subject, digest = _performance(message.performance)
        case "spend":
            features, subject, digest = _spend(message.spend, path)
        case _:
            features, subject, digest = flat_values(message.features, path), None, _digest(message.features)
    return Wanted(kind, features, digest, subject, path, schedule_time)


def _turnover(given: pb.TurnoverInput) -> _Read:
    return dict(attributes(given.attributes)), _subject(given.employee_key), _digest(given.attributes)


def _contract_risk(given: pb.ContractRiskInput) -> _Read:
    return dict(present(given.attributes)), _subject(given.contract_key), _digest(given)


def _performance(given: pb.PerformanceInput) -> _Read:
    known = {name: value for name, value in attributes(given.attributes).items() if name not in LEAKING}
    features: dict[str, object] = {**known, **present(given.work)}
    for name in ("target", "scale_max", "earlier_reviews"):
        if given.HasField(name):
            features[name] = getattr(given, name)
    if given.HasField("previous"):
        features["previous_ratio"] = ratio(given.previous.score, given.previous.target)
        if given.previous.HasField("months_since"):
            features["months_since_review"] = given.previous.months_since
    return features, _subject(given.employee_key), _digest(given)


def _spend(given: pb.SpendInput, path: str) -> _Read:
    features: dict[str, object] = {"horizon": given.horizon or _FARTHEST}
    if given.unit:
        return features, Subject(given.unit, given.category), _digest(given)
    amounts: dict[int, float] = {}
    budgets: dict[int, float] = {}
    seen: set[int] = set()
    for place, each in enumerate(given.history):
        number = _month(each, f"{path}.history[{place}].period")
        if number in seen:
            field = f"{path}.history[{place}].period"
            raise invalid_argument(field, "is a month that came before", Reason.INPUT_SCHEMA_MISMATCH)
        seen.add(number)
        if each.HasField("amount"):
            amounts[number] = each.amount
        if each.HasField("budget"):
            budgets[number] = each.budget
    if not amounts:
        field = f"{path}.history"
        raise invalid_argument(field, "has no month with an amount", Reason.INPUT_SCHEMA_MISMATCH)
    category = {"category": given.category} if given.category else {}
    return {**features, **category, **history_features(amounts, budgets)}, None, _digest(given)


def _month(each: pb.MonthlyAmount, path: str) -> int:
    try:
        first = month(each.period, "period")
    except FieldInvalid as error:
        raise invalid_argument(path, str(error)) from None
    return first.year * YEAR + first.month - 1


def _subject(key: str) -> Subject | None:
    return Subject(key) if key else None


def _digest(given: Message) -> bytes:
    """Return what tells this input, in this form, from any others."""
    content = given.SerializeToString(deterministic=True)
    return hashlib.blake2b(content, digest_size=16, person=given.DESCRIPTOR.name.encode()[:16]).digest()


def _instant(message: Timestamp, path: str) -> datetime:
    try:
        return instant(message)
    except ValueError:
        raise invalid_argument(path, "must lie between the years 1 and 9999, with 0 to 999,999,999 nanoseconds") from None
