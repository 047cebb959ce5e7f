"""How a score becomes a verdict: threshold and calibration, fitted on a set of scored trials and applied to others."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.calibration import fit_calibration
from spoofcache.metrics.det import FloatArray, equal_error_rate


@dataclass(frozen=True)
class Decision:
    """How a score becomes a log-likelihood ratio, a probability and a verdict.

    Attributes:
        slope: the natural-log likelihood ratio of bona fide against spoof is `slope`·score + `offset`.
        offset: see `slope`.
        threshold: the score from which on a recording is called bona fide: the next one above the highest score that
            is rejected where the two error rates are equal.
        eer: the equal error rate there, a fraction.
        fitted_on: name of the set of trials that all of this was fitted on.
        n_bonafide: number of its bona fide trials.
        n_spoof: number of its spoof trials.
        weights_sha256: SHA-256 of the file of the weights that made the scores.
    """

    slope: float
    offset: float
    threshold: float
    eer: float
    fitted_on: str
    n_bonafide: int
    n_spoof: int
    weights_sha256: str

    def llr(self, scores: FloatArray) -> FloatArray:
        """Calibrated natural-log likelihood ratios [N] of scores [N]."""
        return self.offset + self.slope * scores

    @property
    def origin(self) -> str:
        """Where the threshold comes from, as a phrase."""
        return (
            f"the threshold of the EER ({self.eer:.2%}) on {self.fitted_on} ({self.n_bonafide:,} bona fide and "
            f"{self.n_spoof:,} spoof trials)"
        )


def probability(llr: float, prior: float) -> float:
    """The probability of bona fide for a natural-log likelihood ratio, if a share `prior` of recordings is bona fide.

    The logistic function of llr + ln(prior / (1 − prior)): Bayes' theorem in odds.

    >>> probability(0.0, 0.5), round(probability(math.log(3), 0.25), 12)
    (0.5, 0.5)
    """
    log_odds = llr + math.log(prior) - math.log1p(-prior)
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


def fit_decision(scores: FloatArray, is_bonafide: NDArray[np.bool_], fitted_on: str, weights_sha256: str) -> Decision:
    """Fit calibration and threshold on scores [N] with their keys [N].

    Raises:
        ScoreError: the scores do not allow it: a class is missing, all scores are equal, or spoof has the higher ones.
    """
    rate = equal_error_rate(scores[is_bonafide], scores[~is_bonafide])
    calibration = fit_calibration([scores], is_bonafide)
    n_bonafide = int(np.count_nonzero(is_bonafide))
    return Decision(
        slope=float(calibration.weights[0]),
        offset=calibration.offset,
        threshold=float(np.nextafter(rate.threshold, np.inf)),
        eer=rate.rate,
        fitted_on=fitted_on,
        n_bonafide=n_bonafide,
        n_spoof=len(is_bonafide) - n_bonafide,
        weights_sha256=weights_sha256,
    )


@dataclass(frozen=True)
class Confusion:
    """What a threshold makes of trials: numbers of bona fide and of spoof trials that are called bona fide or spoof."""

    threshold: float
    bonafide_as_bonafide: int
    bonafide_as_spoof: int
    spoof_as_bonafide: int
    spoof_as_spoof: int

    def to_json(self) -> dict[str, float]:
        """The numbers, and the rates that follow from them as fractions."""
        rates = ("half_total_error_rate", "accuracy", "f1_of_spoof")
        return {**asdict(self), **{name: getattr(self, name) for name in rates}}

    @property
    def half_total_error_rate(self) -> float:
        """The mean of the share of bona fide trials called spoof and of spoof trials called bona fide."""
        miss = self.bonafide_as_spoof / (self.bonafide_as_bonafide + self.bonafide_as_spoof)
        return (miss + self.spoof_as_bonafide / (self.spoof_as_bonafide + self.spoof_as_spoof)) / 2

    @property
    def accuracy(self) -> float:
        """The share of trials that are called what they are."""
        right = self.bonafide_as_bonafide + self.spoof_as_spoof
        return right / (right + self.bonafide_as_spoof + self.spoof_as_bonafide)

    @property
    def f1_of_spoof(self) -> float:
        """The harmonic mean of precision and recall of spoof; 0 where no spoof trial is called spoof."""
        found = 2 * self.spoof_as_spoof
        return found / (found + self.bonafide_as_spoof + self.spoof_as_bonafide) if found else 0.0


def confusion_at(threshold: float, bonafide: FloatArray, spoof: FloatArray) -> Confusion:
    """Call trials with scores of at least the threshold bona fide, and the others spoof.

    >>> confusion_at(1.0, bonafide=np.array([1.0, 0.5]), spoof=np.array([0.0])).half_total_error_rate
    0.25
    """
    accepted, passed = int(np.count_nonzero(bonafide >= threshold)), int(np.count_nonzero(spoof >= threshold))
    return Confusion(threshold, accepted, bonafide.size - accepted, passed, spoof.size - passed)
