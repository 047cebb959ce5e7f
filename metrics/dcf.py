"""Detection cost functions of a countermeasure: minimum and actual DCF, Cllr; a-DCF of one score for three classes.

Costs and priors are those of the ASVspoof 5 evaluation plan (Wang et al., "ASVspoof 5: crowdsourced speech data,
deepfakes, and adversarial attacks at scale", ASVspoof workshop 2024). Rates are fractions; a higher score is more
bona fide.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spoofcache.metrics.det import DetCurve, FloatArray, ScoreError, det_curve, verification_curve


class Coefficients(NamedTuple):
    """A detection cost as a function of the countermeasure's error rates: c0 + c1·P_miss + c2·P_fa."""

    c0: float
    c1: float
    c2: float


class MinCost(NamedTuple):
    """Smallest normalised cost over all thresholds, and the threshold that gives it."""

    value: float
    threshold: float


@dataclass(frozen=True)
class CostModel:
    """Priors and costs of ASVspoof 5: trials are spoof with `p_spoof`, and otherwise target : nontarget = 99 : 1."""

    p_spoof: float = 0.05
    p_target: float = 0.95 * 0.99
    p_nontarget: float = 0.95 * 0.01
    c_miss: float = 1.0
    c_fa: float = 10.0
    """Of a nontarget speaker taken for the target; only the a-DCF knows him."""
    c_fa_spoof: float = 10.0

    @property
    def cm(self) -> Coefficients:
        """Cost of a countermeasure alone: C_miss·(1 − P_spoof)·P_miss + C_fa·P_spoof·P_fa."""
        p_bonafide = 1 - self.p_spoof
        return Coefficients(0.0, self.c_miss * p_bonafide, self.c_fa_spoof * (1 - p_bonafide))  # rounds as theirs


ASVSPOOF5 = CostModel()


def normalised_cost(curve: DetCurve, cost: Coefficients) -> FloatArray:
    """Cost at every point of the curve [N + M + 1], in units of the better of "accept all" and "reject all".

        (c0 + c1·P_miss + c2·P_fa) / (c0 + min(c1, c2))

    With c0 = 0 this is the normalised DCF (NIST) and the t-DCF of 2019; c0 > 0 is the t-DCF of 2021.
    """
    return (cost.c0 + cost.c1 * curve.frr + cost.c2 * curve.far) / (cost.c0 + min(cost.c1, cost.c2))


def min_cost(curve: DetCurve, cost: Coefficients) -> MinCost:
    """Smallest normalised cost, at the first point of the curve that has it."""
    costs = normalised_cost(curve, cost)
    best = int(np.argmin(costs))
    return MinCost(float(costs[best]), float(curve.thresholds[best]))


def min_dcf(bonafide: ArrayLike, spoof: ArrayLike, costs: CostModel = ASVSPOOF5) -> MinCost:
    """Minimum DCF of countermeasure scores [N] and [M] (ASVspoof 5 evaluation plan, track 1).

        min over s of (C_miss·(1 − P_spoof)·P_miss(s) + C_fa·P_spoof·P_fa(s)) / min(C_miss·(1 − P_spoof), C_fa·P_spoof)

    >>> min_dcf(bonafide=[1, 3], spoof=[0, 2]).value
    0.5

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    return min_cost(det_curve(bonafide, spoof), costs.cm)


def bayes_threshold(costs: CostModel = ASVSPOOF5) -> float:
    """The threshold at which natural-log likelihood ratios should be cut: −ln(C_miss·(1 − P_spoof) / (C_fa·P_spoof)).

    It minimises the expected cost of calibrated ratios (Brümmer and du Preez, Computer Speech and Language 2006).
    """
    _, c1, c2 = costs.cm
    return -math.log(c1 / c2)


def actual_dcf(bonafide: FloatArray, spoof: FloatArray, costs: CostModel = ASVSPOOF5) -> float:
    """DCF of scores [N] and [M] at `bayes_threshold`, normalised as in `min_dcf`.

    The threshold is right for calibrated natural-log likelihood ratios only: any other scores cost more here.
    """
    _, c1, c2 = costs.cm
    threshold = bayes_threshold(costs)
    p_miss, p_fa = np.mean(bonafide < threshold), np.mean(spoof >= threshold)
    return float((c1 * p_miss + c2 * p_fa) / min(c1, c2))


def cllr(bonafide: FloatArray, spoof: FloatArray) -> float:
    """Cost of natural-log likelihood ratios in bits: 0 is perfect, 1 is what scores of 0 give, more is misleading.

        ½·(mean over bona fide of log2(1 + e^−s) + mean over spoof of log2(1 + e^s))

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 2006
    (the measure C_llr).

    >>> cllr(np.zeros(3), np.zeros(2))
    1.0
    """
    return float((np.logaddexp(0, -bonafide).mean() + np.logaddexp(0, spoof).mean()) / (2 * math.log(2)))


def min_cllr(bonafide: FloatArray, spoof: FloatArray) -> float:
    """Cllr after the best increasing calibration of these very scores: what discrimination alone costs, in bits.

    The optimal log-likelihood ratios come from isotonic regression of the key on the score (pool adjacent
    violators; Brümmer and du Preez 2006). Equal scores are pooled.

    >>> min_cllr(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    0.0
    """
    from sklearn.isotonic import isotonic_regression  # here, not above: its import takes a second

    scores = np.concatenate((bonafide, spoof))
    order = np.argsort(scores, kind="stable")  # bona fide in front of equal spoof scores: so they are pooled
    is_bonafide = order < bonafide.size
    posterior = isotonic_regression(is_bonafide.astype(np.float64))
    prior_odds = bonafide.size / spoof.size
    right, wrong = posterior[is_bonafide], posterior[~is_bonafide]
    miss = np.log2(1 + (1 - right) / right * prior_odds).mean()  # `right` is never 0: its block holds a bona fide
    false_acceptance = np.log2(1 + wrong / (1 - wrong) / prior_odds).mean()
    return float((miss + false_acceptance) / 2)


def a_dcf(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: CostModel = ASVSPOOF5) -> MinCost:
    """Minimum a-DCF of a system with one score per trial that shall accept the bona fide target speaker only.

        min over s of (C_miss·P_target·P_miss + C_fa·P_nontarget·P_fa,non + C_fa,spoof·P_spoof·P_fa,spoof)(s)
        / min(C_miss·P_target, C_fa·P_nontarget + C_fa,spoof·P_spoof)

    Shim et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust speaker verification",
    Odyssey 2024; costs of ASVspoof 5, track 2.

    >>> a_dcf(target=[5, 6], nontarget=[1, 2], spoof=[0, 3]).value
    0.0

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    curve = verification_curve(target, nontarget, spoof)
    miss = costs.c_miss * costs.p_target
    nontarget_accepted, spoof_accepted = costs.c_fa * costs.p_nontarget, costs.c_fa_spoof * costs.p_spoof
    cost = miss * curve.p_miss + nontarget_accepted * curve.p_fa_nontarget + spoof_accepted * curve.p_fa_spoof
    best = int(np.argmin(cost))
    return MinCost(float(cost[best] / min(miss, nontarget_accepted + spoof_accepted)), float(curve.thresholds[best]))


def check_cost(cost: Coefficients, whose: str) -> None:
    """ScoreError unless C0 is at least 0 and C1 and C2 are positive: anything else is no cost."""
    if not (cost.c0 >= 0 and 0 < cost.c1 < math.inf and 0 < cost.c2 < math.inf and cost.c0 < math.inf):
        raise ScoreError(
            f"t-DCF is not defined for {whose}: C0 = {cost.c0:.4g}, C1 = {cost.c1:.4g}, C2 = {cost.c2:.4g}; expected "
            "C0 at least 0 and both others above 0"
        )
