"""Inputs that leave features out, made from complete ones, for trees to learn from.

A model trained on complete rows only sends an absent value down an arbitrary branch, and filling in a typical value makes
every sparse input look typical, hence safer than it is. Features taken away at random give each split a branch for
absence that stands for the average over what the value might have been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from server.ml.encoding import Encoder, Matrix


def mask(matrix: Matrix, encoder: Encoder, seed: int) -> Matrix:
    """A copy in which each row lacks a random share, 0 to 1, of its optional features.

    Args:
        matrix: what `encoder.transform` made, (n, columns).
        encoder: tells which columns go together, and which feature is required and so never taken away.
        seed: of the choice.

    """
    generator = np.random.default_rng(seed)
    optional = np.array([not encoding.feature.required for encoding in encoder.features])
    share = generator.random((len(matrix), 1))
    taken = (generator.random((len(matrix), len(optional))) < share) & optional
    masked = matrix.copy()
    masked[taken[:, np.array(encoder.origin, dtype=np.intp)]] = np.nan
    return masked
