"""From a model's log-odds to a probability that means what it says: beta calibration.

Boosted trees rank well but their probabilities are distorted (Niculescu-Mizil & Caruana 2005). Platt's logistic curve
(Platt 1999) stretches both ends alike; attrition has a floor, people who leave whatever is known of them, so the two
ends need a slope each. Beta calibration (Kull, Silva Filho & Flach 2017) has exactly that and contains Platt's curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from server.ml.evaluation import Labels, Scores

_STEPS = 100
_PRECISION = 1e-10
_HALVINGS = 40
_RIDGE = 0.1
"""Weight of the pull to (1, 1, 0), which leaves margins as they are: nothing against hundreds of rows, and what keeps
the curve finite for a few rows, equal margins or a perfect ranking."""


class CalibrationInvalid(ValueError):
    """The JSON is not a calibration."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibrated log-odds of a margin m: low * ln s - high * ln(1 - s) + intercept, with s = 1 / (1 + exp(-m)).

    `low` is the slope far below 0, `high` the slope far above. Neither is negative, so the ranking stays.
    """

    low: float
    high: float
    intercept: float

    def apply(self, margins: npt.NDArray[np.floating]) -> Scores:
        """Calibrated probabilities, 0 to 1, of log-odds; bit for bit the same for a row alone and among others."""
        # Not `@`, which adds in another order for other numbers of rows.
        return _sigmoid((_design(margins) * np.array([self.low, self.high, self.intercept])).sum(axis=1))

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {"low": self.low, "high": self.high, "intercept": self.intercept}

    @classmethod
    def from_json(cls, data: object) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            CalibrationInvalid: it is something else.

        """
        if isinstance(data, Mapping):
            low, high, intercept = _number(data.get("low")), _number(data.get("high")), _number(data.get("intercept"))
            if low >= 0 and high >= 0 and math.isfinite(low + high + intercept):
                return cls(low, high, intercept)
        msg = "a calibration has two slopes of at least 0 and an intercept"
        raise CalibrationInvalid(msg)


def fit(margins: npt.NDArray[np.floating], labels: Labels) -> Calibration:
    """Fit the curve to log-odds of rows the model was not trained on.

    Maximum likelihood, with Platt's softened targets (P + 1)/(P + 2) and 1/(N + 2), by Newton steps with halving (Lin,
    Lin & Weng 2007). A slope that would be negative is 0 and the rest is fitted again, as Kull et al. do: margins that
    rank worse than chance give the base rate for everyone, not the reverse.
    """
    positives = int(np.sum(labels == 1))
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    design = _design(margins)
    free = [0, 1, 2]
    weights = np.zeros(3)
    while True:
        weights[:] = 0.0
        weights[free] = _newton(design[:, free], targets, np.array([1.0, 1.0, 0.0])[free])
        steepest_fall = int(np.argmin(weights[:2]))
        if weights[steepest_fall] >= 0:
            return Calibration(*(float(weight) for weight in weights))
        free.remove(steepest_fall)


def _design(margins: npt.NDArray[np.floating]) -> Scores:
    m = margins.astype(np.float64)
    return np.column_stack([-np.logaddexp(0.0, -m), np.logaddexp(0.0, m), np.ones_like(m)])


def _sigmoid(z: Scores) -> Scores:
    probability: Scores = np.exp(-np.logaddexp(0.0, -z))
    return probability


def _newton(design: Scores, targets: Scores, prior: Scores) -> Scores:
    def loss(weights: Scores) -> float:
        z = design @ weights
        return float(np.sum(np.logaddexp(0.0, z) - targets * z) + _RIDGE / 2 * np.sum((weights - prior) ** 2))

    weights = prior.copy()
    current = loss(weights)
    for _ in range(_STEPS):
        probability = _sigmoid(design @ weights)
        gradient = design.T @ (probability - targets) + _RIDGE * (weights - prior)
        if float(np.abs(gradient).max()) < _PRECISION * len(targets):
            break
        hessian = (design * (probability * (1 - probability))[:, None]).T @ design + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        for halving in range(_HALVINGS):
            candidate = weights - step / 2**halving
            if loss(candidate) < current:
                break
        else:
            break
        weights, current = candidate, loss(candidate)
    return weights


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
