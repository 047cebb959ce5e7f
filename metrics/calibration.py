"""Scores → natural-log likelihood ratios: logistic calibration of one system, logistic fusion of several.

Platt, "Probabilistic outputs for support vector machines", 1999; fusion: Brümmer et al., "Fusion of heterogeneous
speaker recognition systems in the STBU submission for the NIST SRE 2006", IEEE TASLP 2007. Fitted on development
scores, applied to others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import FloatArray, ScoreError

WEAK = 1e6
"""Inverse of the regularisation, in standardised scores: it only keeps separable dev scores from an endless slope."""


class Calibration(NamedTuple):
    """Log-likelihood ratio = offset + Σ weights[k]·(score of system k)."""

    weights: FloatArray
    offset: float

    def apply(self, systems: Sequence[FloatArray]) -> FloatArray:
        """Log-likelihood ratios [N] of the systems' scores, each [N]."""
        return self.offset + np.stack(systems, axis=1) @ self.weights


def fit_calibration(systems: Sequence[FloatArray], is_bonafide: NDArray[np.bool_]) -> Calibration:
    """Logistic regression of the key on the scores of one system or several, each [N], in the order of the keys [N].

    Both classes weigh the same, so that the log-odds it finds are log-likelihood ratios: the prior belongs to the
    cost that they are used with.

    Raises:
        ScoreError: a system has the same score for all trials; a single system ranks spoof above bona fide (nothing
            here turns a sign).
    """
    from sklearn.linear_model import LogisticRegression  # here, not above: its import takes a second

    scores = np.stack(systems, axis=1)
    centre, spread = scores.mean(axis=0), scores.std(axis=0)
    if not (spread > 0).all():
        raise ScoreError("all dev scores of a system are equal; expected scores that can be calibrated")
    model = LogisticRegression(C=WEAK, class_weight="balanced", solver="newton-cholesky", tol=1e-10)
    model.fit((scores - centre) / spread, is_bonafide)
    weights = model.coef_[0] / spread
    if len(systems) == 1 and weights[0] <= 0:
        raise ScoreError(
            "the dev scores are higher for spoof than for bona fide; expected higher = more bona fide (calibration "
            "would turn the sign)"
        )
    return Calibration(weights, float(model.intercept_[0] - weights @ centre))
