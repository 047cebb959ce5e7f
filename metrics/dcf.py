"""Detection cost functions: minimum and actual DCF and Cllr of a countermeasure, and the a-DCF of three classes.

Costs and priors are those of the ASVspoof 5 evaluation plan (Wang et al., "ASVspoof 5: crowdsourced speech data,
deepfakes, and adversarial attacks at scale", ASVspoof workshop 2024). Rates are fractions; a higher score means
more bona fide.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spoofcache.common.arguments import checked
from spoofcache.metrics.det import DetCurve, FloatArray, ScoreError, det_curve, verification_curve


class Coefficients(NamedTuple):
    """A detection cost as a function of the countermeasure's error rates: c0 + c1·P_miss + c2·P_fa."""

    c0: float
    c1: float
    c2: float


class MinCost(NamedTuple):
    """The smallest normalised cost over all thresholds, and the threshold at which it is reached."""

    value: float
    threshold: float


@dataclass(frozen=True)
class CostModel:
    """Priors and costs of ASVspoof 5.

    A trial is spoof with probability `p_spoof`; otherwise target and nontarget trials are in the ratio 99 : 1.
    """

    p_spoof: float = 0.05
    p_target: float = 0.95 * 0.99
    p_nontarget: float = 0.95 * 0.01
    c_miss: float = 1.0
    c_fa: float = 10.0
    """Cost of accepting a nontarget speaker; only the a-DCF uses it."""
    c_fa_spoof: float = 10.0

    @property
    def cm(self) -> Coefficients:
        """The cost of a countermeasure alone: C_miss·(1 − P_spoof)·P_miss + C_fa·P_spoof·P_fa."""
        p_bonafide = 1 - self.p_spoof
        return Coefficients(
            0.0, self.c_miss * p_bonafide, self.c_fa_spoof * (1 - p_bonafide)
        )  # rounds as in the ASVspoof 5 code


ASVSPOOF5 = CostModel()


def normalised_cost(curve: DetCurve, cost: Coefficients) -> FloatArray:
    """The cost at each point of a DET curve [N + M + 1], in units of the better of "accept all" and "reject all".

        (c0 + c1·P_miss + c2·P_fa) / (c0 + min(c1, c2))

    With c0 = 0 this is the normalised DCF of the NIST evaluations and the t-DCF in the form of 2019; with c0 > 0 it is
    the t-DCF in the form of 2021 (see `tdcf`).
    """
    costs = cost.c1 * curve.frr
    costs += cost.c0
    costs += cost.c2 * curve.far
    costs /= cost.c0 + min(cost.c1, cost.c2)  # in place: of a million trials, every array takes 8 MB
    return costs


def min_cost(curve: DetCurve, cost: Coefficients) -> MinCost:
    """Find the smallest normalised cost, at the first point of the curve where it is reached."""
    costs = normalised_cost(curve, cost)
    best = int(np.argmin(costs))
    return MinCost(float(costs[best]), float(curve.thresholds[best]))


@checked
def min_dcf(bonafide: ArrayLike, spoof: ArrayLike, costs: CostModel = ASVSPOOF5) -> MinCost:
    """Compute the minimum DCF of `bonafide` scores [N] and `spoof` scores [M] (ASVspoof 5 evaluation plan, track 1).

        min over s of (C_miss·(1 − P_spoof)·P_miss(s) + C_fa·P_spoof·P_fa(s)) / min(C_miss·(1 − P_spoof), C_fa·P_spoof)

    >>> min_dcf(bonafide=[1, 3], spoof=[0, 2]).value
    0.5

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    return min_cost(det_curve(bonafide, spoof), costs.cm)


def bayes_threshold(costs: CostModel = ASVSPOOF5) -> float:
    """The Bayes threshold for natural-log likelihood ratios: −ln(C_miss·(1 − P_spoof) / (C_fa·P_spoof)).

    It minimises the expected cost of calibrated ratios (Brümmer and du Preez, Computer Speech and Language 2006).
    """
    _, c1, c2 = costs.cm
    return -math.log(c1 / c2)


def actual_dcf(bonafide: FloatArray, spoof: FloatArray, costs: CostModel = ASVSPOOF5) -> float:
    """Compute the DCF of `bonafide` scores [N] and `spoof` scores [M] at `bayes_threshold`, normalised as in `min_dcf`.

    The threshold is meant for calibrated natural-log likelihood ratios; other scores have a higher cost
    (ASVspoof 5 evaluation plan, track 1).
    """
    _, c1, c2 = costs.cm
    threshold = bayes_threshold(costs)
    p_miss, p_fa = np.mean(bonafide < threshold), np.mean(spoof >= threshold)
    return float((c1 * p_miss + c2 * p_fa) / min(c1, c2))


def cllr(bonafide: FloatArray, spoof: FloatArray) -> float:
    """Compute the cost of natural-log likelihood ratios, `bonafide` [N] and `spoof` [M], in bits.

    0 is perfect, 1 is the cost of scores that are all 0, and a higher cost means that the ratios mislead.

        ½·(mean over bona fide of log2(1 + e^−s) + mean over spoof of log2(1 + e^s))

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 2006
    (the measure C_llr).

    >>> cllr(np.zeros(3), np.zeros(2))
    1.0
    """
    return float((np.logaddexp(0, -bonafide).mean() + np.logaddexp(0, spoof).mean()) / (2 * math.log(2)))


def min_cllr(bonafide: FloatArray, spoof: FloatArray) -> float:
    """Compute the Cllr, in bits, after the best non-decreasing calibration of `bonafide` [N] and `spoof` [M] scores.

    It is the cost of imperfect discrimination alone. The optimal log-likelihood ratios come from isotonic regression of
    the key on the score (pool adjacent violators; Brümmer and du Preez 2006). Equal scores are pooled.

    >>> min_cllr(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    0.0
    """
    from sklearn.isotonic import isotonic_regression  # here, not above: its import takes a second

    scores = np.concatenate((bonafide, spoof))
    order = np.argsort(
        scores, kind="stable"
    )  # bona fide trials precede spoof trials of equal score, so that they are pooled
    is_bonafide = order < bonafide.size
    posterior = isotonic_regression(is_bonafide.astype(np.float64))
    prior_odds = bonafide.size / spoof.size
    right, wrong = posterior[is_bonafide], posterior[~is_bonafide]
    miss = np.log2(
        1 + (1 - right) / right * prior_odds
    ).mean()  # `right` is never 0, because its block has a bona fide trial
    false_acceptance = np.log2(1 + wrong / (1 - wrong) / prior_odds).mean()
    return float((miss + false_acceptance) / 2)


def a_dcf(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: CostModel = ASVSPOOF5) -> MinCost:
    """Compute the minimum a-DCF of a system that should accept nothing but the bona fide target speaker, by one score.

    The scores are `target` [N], `nontarget` [M] and `spoof` [K]:

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
    """Check that C0 is at least 0 and that C1 and C2 are positive, as a detection cost requires.

    Raises:
        ScoreError: the coefficients are others; the message names `whose` they are.
    """
    if not (cost.c0 >= 0 and 0 < cost.c1 < math.inf and 0 < cost.c2 < math.inf and cost.c0 < math.inf):
        raise ScoreError(
            f"the t-DCF is not defined for {whose}: C0 = {cost.c0:.4g}, C1 = {cost.c1:.4g}, C2 = {cost.c2:.4g}; "
            "expected C0 to be at least 0, and C1 and C2 to be positive"
        )
