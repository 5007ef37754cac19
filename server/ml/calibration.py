"""From a model's log-odds to a probability that means what it says: Platt scaling.

Boosted trees rank well but their probabilities are distorted; a logistic curve through out-of-fold log-odds mends that
with two numbers, which few positives can still determine (Platt 1999; Niculescu-Mizil & Caruana 2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.ml.evaluation import Labels, Scores

_STEPS = 100
_PRECISION = 1e-10
_RIDGE = 1e-12
_HALVINGS = 30


class CalibrationInvalid(ValueError):
    """The JSON is not a calibration."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = 1 / (1 + exp(-(slope * margin + intercept))); the slope is never negative, so the ranking stays."""

    slope: float
    intercept: float

    def apply(self, margins: npt.NDArray[np.floating]) -> Scores:
        """Calibrated probabilities, 0 to 1, of log-odds."""
        scaled = self.slope * margins.astype(np.float64) + self.intercept
        return np.exp(-np.logaddexp(0.0, -scaled))

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {"slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_json(cls, data: object) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            CalibrationInvalid: it is something else.

        """
        if isinstance(data, Mapping):
            slope, intercept = data.get("slope"), data.get("intercept")
            if isinstance(slope, int | float) and isinstance(intercept, int | float) and slope >= 0 and math.isfinite(slope + intercept):
                return cls(float(slope), float(intercept))
        msg = "a calibration has a slope of at least 0 and an intercept"
        raise CalibrationInvalid(msg)


def fit(margins: npt.NDArray[np.floating], labels: Labels) -> Calibration:
    """Fit slope and intercept to log-odds of rows the model was not trained on.

    Maximum likelihood with Platt's softened targets (P + 1)/(P + 2) and 1/(N + 2), by Newton steps with halving (Lin,
    Lin & Weng 2007). Margins that rank worse than chance get slope 0: the base rate for everyone, not the reverse.
    """
    x = margins.astype(np.float64)
    positives = int(np.sum(labels == 1))
    negatives = len(labels) - positives
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    flat = math.log((positives + 1) / (negatives + 1))
    weights = _newton(np.column_stack([x, np.ones_like(x)]), targets, np.array([0.0, flat]))
    if weights[0] > 0:
        return Calibration(float(weights[0]), float(weights[1]))
    mean = float(targets.mean())
    return Calibration(0.0, math.log(mean / (1 - mean)))


def _newton(design: Scores, targets: Scores, start: Scores) -> Scores:
    def loss(weights: Scores) -> float:
        z = design @ weights
        return float(np.sum(np.logaddexp(0.0, z) - targets * z))

    weights = start
    current = loss(weights)
    for _ in range(_STEPS):
        probability = np.exp(-np.logaddexp(0.0, -(design @ weights)))
        gradient = design.T @ (probability - targets)
        if float(np.abs(gradient).max()) < _PRECISION * len(targets):
            break
        curvature = probability * (1 - probability)
        # The ridge keeps the system solvable when all margins are equal.
        hessian = (design * curvature[:, None]).T @ design + _RIDGE * len(targets) * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        for _ in range(_HALVINGS):
            candidate = loss(weights - scale * step)
            if candidate <= current:
                break
            scale /= 2
        else:
            break
        weights, current = weights - scale * step, candidate
    return weights
