"""The tandem detection cost function (t-DCF): what a countermeasure costs in front of a fixed ASV system.

Source: Kinnunen et al., "t-DCF: a detection cost function for the tandem assessment of spoofing countermeasures
and automatic speaker verification", Odyssey 2018; in the normalised form and with the costs of the ASVspoof 2019
evaluation plan (15 January 2019). ASVspoof 2021 revised the form: its numbers are not comparable with these.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metrics.det import FloatArray, ScoreError, det_curve


@dataclass(frozen=True)
class CostModel2019:
    """Priors and costs of the t-DCF; the defaults are those of the ASVspoof 2019 evaluation plan.

    Trials are spoof with `p_spoof`, and otherwise target : nontarget = 99 : 1. Costs are in units of one rejected
    target speaker.
    """

    p_spoof: float = 0.05
    p_target: float = 0.95 * 0.99
    p_nontarget: float = 0.95 * 0.01
    c_miss_asv: float = 1.0
    c_fa_asv: float = 10.0
    c_miss_cm: float = 1.0
    c_fa_cm: float = 10.0


ASVSPOOF2019 = CostModel2019()


class AsvErrorRates(NamedTuple):
    """What the ASV system does at its threshold, as fractions."""

    p_fa: float
    """Share of nontarget trials accepted."""
    p_miss: float
    """Share of target trials rejected."""
    p_miss_spoof: float
    """Share of spoof trials rejected: what the countermeasure need not catch."""


class MinTdcf(NamedTuple):
    """Smallest normalised t-DCF over all countermeasure thresholds, and the threshold that gives it."""

    value: float
    threshold: float


def asv_error_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, threshold: float) -> AsvErrorRates:
    """Error rates of an ASV system that accepts scores ≥ `threshold`; scores are [N] each.

    ASVspoof 2019 sets the threshold at the EER between target and nontarget (`equal_error_rate`). For the t-DCF of
    one attack, `spoof` holds that attack's trials only.

    >>> asv_error_rates(target=[1, 3], nontarget=[0, 0, 0, 2], spoof=[1, 2, 3], threshold=2)
    AsvErrorRates(p_fa=0.25, p_miss=0.5, p_miss_spoof=0.3333333333333333)

    Raises:
        ScoreError: a class is empty.
    """
    return AsvErrorRates(
        p_fa=float(np.mean(_array(nontarget, "nontarget") >= threshold)),
        p_miss=float(np.mean(_array(target, "target") < threshold)),
        p_miss_spoof=float(np.mean(_array(spoof, "spoof") < threshold)),
    )


def min_tdcf_2019(
    bonafide: ArrayLike, spoof: ArrayLike, asv: AsvErrorRates, costs: CostModel2019 = ASVSPOOF2019
) -> MinTdcf:
    """Minimum normalised t-DCF of countermeasure scores `bonafide` [N] and `spoof` [M], ASVspoof 2019 form.

    With the ASV system fixed, and P_miss(s), P_fa(s) the countermeasure's error rates at threshold s
    (ASVspoof 2019 evaluation plan, from the t-DCF of Kinnunen et al., Odyssey 2018):

        t-DCF(s) = C1·P_miss(s) + C2·P_fa(s)
        C1 = P_target·(C_miss,cm − C_miss,asv·P_miss,asv) − P_nontarget·C_fa,asv·P_fa,asv
        C2 = C_fa,cm·P_spoof·(1 − P_miss,spoof,asv)

    The value is min over s of t-DCF(s) / min(C1, C2): 1 is the better of the two countermeasures that accept all
    or reject all, 0 is perfect.

    Raises:
        ScoreError: C1 or C2 is not positive (the cost is then no cost), a class is empty, a score not finite.
    """
    c1 = (
        costs.p_target * (costs.c_miss_cm - costs.c_miss_asv * asv.p_miss)
        - costs.p_nontarget * costs.c_fa_asv * asv.p_fa
    )
    c2 = costs.c_fa_cm * costs.p_spoof * (1 - asv.p_miss_spoof)
    if c1 <= 0 or c2 <= 0:
        raise ScoreError(
            f"t-DCF is not defined for this ASV system: C1 = {c1:.4g}, C2 = {c2:.4g}; expected both above 0 (it "
            f"rejects {asv.p_miss:.1%} of target and {asv.p_miss_spoof:.1%} of spoof trials, accepts "
            f"{asv.p_fa:.1%} of nontarget)"
        )
    curve = det_curve(bonafide, spoof)
    tdcf = (c1 * curve.frr + c2 * curve.far) / min(c1, c2)
    best = int(np.argmin(tdcf))
    return MinTdcf(float(tdcf[best]), float(curve.thresholds[best]))


def _array(scores: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(scores, dtype=np.float64)
    if not array.size:
        raise ScoreError(f"no ASV {name} scores; expected target, nontarget and spoof trials")
    return array
