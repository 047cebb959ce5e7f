"""The concurrent tandem equal error rate (t-EER): one number for a countermeasure and an ASV system in tandem.

Kinnunen et al., "t-EER: parameter-free tandem evaluation of countermeasures and biometric comparators", IEEE TPAMI
2023. Rates are fractions.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import DetCurve, FloatArray, ScoreError, VerificationCurve

RHO = 0.5
"""Share of spoof trials among the trials to reject; at the concurrent point, every share gives the same rate."""


class TandemEqualErrorRate(NamedTuple):
    """The t-EER (a fraction), and the two thresholds at which it is reached."""

    rate: float
    cm_threshold: float
    asv_threshold: float


def tandem_equal_error_rate(cm: DetCurve, asv: VerificationCurve) -> TandemEqualErrorRate:
    """Find the point where the tandem's miss rate equals its false acceptance rate for any share of spoof trials.

    A trial is accepted if both systems accept it. For each ASV threshold, the function finds the CM threshold where

        P_miss = P_miss,cm + (1 − P_miss,cm)·P_miss,asv
        P_fa   = (1 − ρ)·(1 − P_miss,cm)·P_fa,non,asv + ρ·P_fa,cm·P_fa,spoof,asv

    are closest to each other. Among these pairs of thresholds, the *concurrent* one is that where
    P_fa,non,asv / P_fa,spoof,asv is closest to P_fa,cm / (1 − P_miss,cm): there ρ cancels, and the rate is
    P_fa,spoof,asv·P_fa,cm. Only those ASV thresholds count whose miss rate is below the mean of the two false
    acceptance rates, because no CM threshold balances the tandem at the others.

    P_miss rises and P_fa falls with the CM threshold. Therefore a binary search finds each crossing, for all J ASV
    thresholds at once, in J·log K steps instead of J·K for K CM thresholds.

    Args:
        cm: the DET curve of the countermeasure.
        asv: the error rates of the ASV system at each of its thresholds.

    Raises:
        ScoreError: at every threshold, the ASV system rejects more target trials than the tandem could balance.
    """
    eligible = np.flatnonzero(asv.p_miss < (asv.p_fa_nontarget + asv.p_fa_spoof) / 2)
    eligible = eligible[asv.p_fa_spoof[eligible] > 0]
    crossing = _crossings(cm, asv, eligible)
    eligible, crossing = eligible[cm.frr[crossing] < 1], crossing[cm.frr[crossing] < 1]
    if not eligible.size:
        raise ScoreError(
            "the t-EER is not defined: at every threshold, the ASV system's miss rate is above its false acceptances"
        )
    wanted = asv.p_fa_nontarget[eligible] / asv.p_fa_spoof[eligible]
    found = cm.far[crossing] / (1 - cm.frr[crossing])
    nearest = int(np.argmin(np.abs(wanted - found)))
    at_asv, at_cm = eligible[nearest], crossing[nearest]
    rate = asv.p_fa_spoof[at_asv] * cm.far[at_cm]
    return TandemEqualErrorRate(float(rate), float(cm.thresholds[at_cm]), float(asv.thresholds[at_asv]))


def _crossings(cm: DetCurve, asv: VerificationCurve, points: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each ASV point [J], find the first CM point [J] where the tandem's two error rates are closest."""

    def excess(k: NDArray[np.int64]) -> FloatArray:
        """P_miss − P_fa of the tandem at the CM points k [J], which never falls as k rises."""
        accepted = 1 - cm.frr[k]
        miss = cm.frr[k] + accepted * p_miss
        return miss - ((1 - RHO) * accepted * p_fa_nontarget + RHO * cm.far[k] * p_fa_spoof)

    p_miss, p_fa_nontarget, p_fa_spoof = asv.p_miss[points], asv.p_fa_nontarget[points], asv.p_fa_spoof[points]
    low = np.zeros(points.size, dtype=np.int64)
    high = np.full(points.size, cm.frr.size - 1)  # every trial is rejected there, so P_miss = 1 ≥ P_fa
    while np.any(low < high):
        middle = (low + high) // 2
        crossed = excess(middle) >= 0
        low, high = np.where(crossed, low, middle + 1), np.where(crossed, middle, high)
    before = np.maximum(low - 1, 0)
    return np.where(np.abs(excess(before)) <= np.abs(excess(low)), before, low)
