"""Scores → natural-log likelihood ratios: logistic calibration of one system, logistic fusion of several.

Platt, "Probabilistic outputs for support vector machines", 1999; fusion: Brümmer et al., "Fusion of heterogeneous
speaker recognition systems in the STBU submission for the NIST SRE 2006", IEEE TASLP 2007. Both are fitted on
development scores and applied to other scores.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import FloatArray, ScoreError

WEAK = 1e6
"""Inverse strength of the regularisation, for standardised scores. It only keeps the slope finite where the development
scores separate the classes completely."""


class Calibration(NamedTuple):
    """An affine calibration: log-likelihood ratio = offset + Σ weights[k]·(score of system k)."""

    weights: FloatArray
    offset: float

    def apply(self, systems: Sequence[FloatArray]) -> FloatArray:
        """Compute the natural-log likelihood ratios [N] from the scores [N] of each system."""
        return self.offset + np.stack(systems, axis=1) @ self.weights


def fit_calibration(systems: Sequence[FloatArray], is_bonafide: NDArray[np.bool_]) -> Calibration:
    """Fit a logistic regression of the keys [N] on the scores [N] of one system or several, in the order of the keys.

    Both classes have the same weight, so that the log-odds of the regression are log-likelihood ratios: the prior
    belongs to the cost with which the ratios are used.

    Raises:
        ScoreError: a system has the same score for all trials, or a single system scores spoof trials higher than bona
            fide ones (a calibration never inverts the sign).
    """
    from sklearn.linear_model import LogisticRegression  # here, not above: its import takes a second

    scores = np.stack(systems, axis=1)
    centre, spread = scores.mean(axis=0), scores.std(axis=0)
    if not (spread > 0).all():
        raise ScoreError("all development scores of a system are equal; expected scores that can be calibrated")
    model = LogisticRegression(C=WEAK, class_weight="balanced", solver="newton-cholesky", tol=1e-10)
    model.fit((scores - centre) / spread, is_bonafide)
    weights = model.coef_[0] / spread
    if len(systems) == 1 and weights[0] <= 0:
        raise ScoreError(
            "the development scores are higher for spoof than for bona fide; expected higher scores for bona fide (the "
            "calibration would invert the sign)"
        )
    return Calibration(weights, float(model.intercept_[0] - weights @ centre))
