"""Features of a request from what is stored of its subject: an employee, a contract, a unit's spend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from server.errors import Reason, invalid_argument, not_found
from server.facts import store as facts
from server.ml.contract_risk import dated, months_between
from server.ml.performance import LEAKING, ratio, scaled
from server.ml.spend import YEAR, history_features
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from server.db import ReadTx
    from server.identity import OrgId
    from server.predictions.model import FeatureValue


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose stored facts fill the features that a request does not give: an employee or team, a contract, a unit.

    `category` is that of a unit's spend; empty means the total of the unit.
    """

    key: str
    category: str = ""


async def stored_features(tx: ReadTx, org: OrgId, model_type: ModelType, subject: Subject) -> Mapping[str, FeatureValue]:
    """Return what is stored, as features.

    Raises:
        AnalyticsError: EMPLOYEE_NOT_FOUND, CONTRACT_NOT_FOUND, SPEND_SERIES_NOT_FOUND; INPUT_SCHEMA_MISMATCH for spend in several
            currencies.

    """
    match model_type:
        case ModelType.TURNOVER_PREDICTION:
            return await _employee(tx, org, subject)
        case ModelType.CONTRACT_RISK:
            return await _contract(tx, org, subject)
        case ModelType.PERFORMANCE_PREDICTION:
            return await _reviewed(tx, org, subject)
        case ModelType.SPEND_FORECASTING:
            return await _spend(tx, org, subject)


def combined(model_type: ModelType, stored: Mapping[str, FeatureValue], given: Mapping[str, object]) -> Mapping[str, object]:
    """Put together what is stored and what is given, which wins; of performance the target becomes a share of the scale."""
    features: dict[str, object] = {**stored, **given}
    if model_type is ModelType.PERFORMANCE_PREDICTION:
        most, target = features.pop("scale_max", None), features.get("target")
        if _is_number(most) and _is_number(target) and most > 0:
            features["target"] = scaled(target, most)
    return features


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def _employee(tx: ReadTx, org: OrgId, subject: Subject) -> Mapping[str, FeatureValue]:
    stored = await facts.latest_attributes(tx, org, subject.key)
    if stored is None:
        raise not_found(Reason.EMPLOYEE_NOT_FOUND, "employee", subject.key)
    return stored


async def _contract(tx: ReadTx, org: OrgId, subject: Subject) -> Mapping[str, FeatureValue]:
    known = await facts.contract_attributes(tx, org, subject.key)
    if known is None:
        raise not_found(Reason.CONTRACT_NOT_FOUND, "contract", subject.key)
    return dated(known.attributes, known.start_date, known.end_date, known.first_start)


async def _reviewed(tx: ReadTx, org: OrgId, subject: Subject) -> Mapping[str, FeatureValue]:
    state = await facts.latest_attributes(tx, org, subject.key)
    last = await facts.last_review(tx, org, subject.key)
    if state is None and last is None:
        raise not_found(Reason.EMPLOYEE_NOT_FOUND, "employee", subject.key)
    features = {name: value for name, value in (state or {}).items() if name not in LEAKING}
    if last is None:
        return {**features, "earlier_reviews": 0}
    features |= {"earlier_reviews": last.reviews, "months_since_review": math.floor(months_between(last.review_date, last.today))}
    previous = ratio(last.score, last.target)
    known = {"target": last.target, "scale_max": last.scale_max, "previous_ratio": previous}
    return features | {name: value for name, value in known.items() if value is not None}


async def _spend(tx: ReadTx, org: OrgId, subject: Subject) -> Mapping[str, FeatureValue]:
    months = await facts.spend_months(tx, org, subject.key, subject.category)
    if len({currency for month in months for currency in month.currencies}) > 1:
        description = "the entries are in several currencies; name a category of one"
        raise invalid_argument(field="spend.category", description=description, reason=Reason.INPUT_SCHEMA_MISMATCH)
    amounts = {_number(month.period): month.amount for month in months if month.amount is not None}
    if not amounts:
        raise not_found(Reason.SPEND_SERIES_NOT_FOUND, "spend_series", "/".join(filter(None, (subject.key, subject.category))))
    budgets = {_number(month.period): month.budget for month in months if month.budget is not None}
    category: Mapping[str, FeatureValue] = {"category": subject.category} if subject.category else {}
    return {**category, **history_features(amounts, budgets)}


def _number(day: date) -> int:
    return day.year * YEAR + day.month - 1
