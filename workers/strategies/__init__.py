"""How each model type is read, trained and judged; the rest of a training is the same for all.

What always holds: rows that are held out take no part in a training, so any two versions can be judged by them, and judging
returns the losses of both on the very same rows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from server.ml.contract_risk import CONTRACT_RISK
from server.ml.performance import PERFORMANCE
from server.ml.turnover import TURNOVER
from server.registry.model import ModelType
from server.training import store
from workers.strategies.classifying import read_labelled
from workers.strategies.forecasting import read_series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.strategies.model import Strategy

STRATEGIES: Mapping[ModelType, Strategy] = {
    ModelType.TURNOVER_PREDICTION: partial(read_labelled, TURNOVER, store.pooled_turnover_rows),
    ModelType.SPEND_FORECASTING: read_series,
    ModelType.CONTRACT_RISK: partial(read_labelled, CONTRACT_RISK, store.pooled_contract_rows),
    ModelType.PERFORMANCE_PREDICTION: partial(read_labelled, PERFORMANCE, store.pooled_review_rows),
}
"""Every type that can be trained."""
