"""The tandem detection cost function (t-DCF): the cost of a countermeasure that stands in front of a fixed ASV system.

Two forms are in use, and their numbers are not comparable. The form of 2019: Kinnunen et al., "t-DCF: a detection cost
function for the tandem assessment of spoofing countermeasures and automatic speaker verification", Odyssey 2018, in
the normalised form of the ASVspoof 2019 evaluation plan. The form of 2021: Kinnunen et al., "Tandem assessment of
spoofing countermeasures and automatic speaker verification: fundamentals", IEEE/ACM TASLP 2020, as in the
ASVspoof 2021 evaluation plan; it includes the cost of the ASV system itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spoofcache.metrics.dcf import ASVSPOOF5, Coefficients, CostModel, MinCost, check_cost, min_cost
from spoofcache.metrics.det import FloatArray, ScoreError, det_curve


@dataclass(frozen=True)
class CostModel2019:
    """Priors and costs of the t-DCF of 2019; the defaults are those of the ASVspoof 2019 evaluation plan.

    A trial is spoof with probability `p_spoof`; otherwise target and nontarget trials are in the ratio 99 : 1. Costs
    are in units of the cost of one rejected target speaker.
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
    """The error rates of an ASV system at its threshold, as fractions."""

    p_fa: float
    """Share of the nontarget trials that are accepted."""
    p_miss: float
    """Share of the target trials that are rejected."""
    p_miss_spoof: float
    """Share of the spoof trials that are rejected, and that a countermeasure therefore need not detect."""


def asv_error_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, threshold: float) -> AsvErrorRates:
    """Compute the error rates of an ASV system that accepts scores of at least `threshold`.

    The scores are `target` [N], `nontarget` [M] and `spoof` [K]. ASVspoof 2019 sets the threshold at the EER between
    target and nontarget trials (`equal_error_rate`). For the t-DCF of one attack, `spoof` holds the trials of that
    attack only.

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


def coefficients_2019(asv: AsvErrorRates, costs: CostModel2019 = ASVSPOOF2019) -> Coefficients:
    """Coefficients of the t-DCF in the form of 2019, for an ASV system with a fixed threshold.

        C0 = 0
        C1 = P_target·(C_miss,cm − C_miss,asv·P_miss,asv) − P_nontarget·C_fa,asv·P_fa,asv
        C2 = C_fa,cm·P_spoof·(1 − P_miss,spoof,asv)

    Kinnunen et al., Odyssey 2018, in the form of the ASVspoof 2019 evaluation plan.

    Raises:
        ScoreError: C1 or C2 is not positive, so that the t-DCF is not defined.
    """
    c1 = (
        costs.p_target * (costs.c_miss_cm - costs.c_miss_asv * asv.p_miss)
        - costs.p_nontarget * costs.c_fa_asv * asv.p_fa
    )
    c2 = costs.c_fa_cm * costs.p_spoof * (1 - asv.p_miss_spoof)
    return _checked(Coefficients(0.0, c1, c2), asv)


def coefficients_2021(asv: AsvErrorRates, costs: CostModel = ASVSPOOF5) -> Coefficients:
    """Coefficients of the t-DCF in the form of 2021, for an ASV system with a fixed threshold.

        C0 = P_target·C_miss·P_miss,asv + P_nontarget·C_fa·P_fa,asv
        C1 = P_target·C_miss − C0
        C2 = P_spoof·C_fa,spoof·P_fa,spoof,asv

    Kinnunen et al., IEEE/ACM TASLP 2020, in the form of the ASVspoof 2021 evaluation plan. ASVspoof 5 kept the costs
    and priors of ASVspoof 2021.

    Raises:
        ScoreError: C1 or C2 is not positive, so that the t-DCF is not defined.
    """
    c0 = costs.p_target * costs.c_miss * asv.p_miss + costs.p_nontarget * costs.c_fa * asv.p_fa
    c1 = costs.p_target * costs.c_miss - c0
    c2 = costs.p_spoof * costs.c_fa_spoof * (1 - asv.p_miss_spoof)
    return _checked(Coefficients(c0, c1, c2), asv)


def min_tdcf(bonafide: ArrayLike, spoof: ArrayLike, cost: Coefficients) -> MinCost:
    """Compute the minimum normalised t-DCF of `bonafide` scores [N] and `spoof` scores [M] of a countermeasure.

    `cost` comes from `coefficients_2019` or `coefficients_2021`, or is published for each condition, as by ASVspoof
    2021. If P_miss(s) and P_fa(s) are the error rates of the countermeasure at the threshold s, the value is

        min over s of (C0 + C1·P_miss(s) + C2·P_fa(s)) / (C0 + min(C1, C2))

    A value of 1 is reached by accepting every trial or by rejecting every trial, whichever costs less. The smallest
    possible value is C0 / (C0 + min(C1, C2)), which is 0 in the form of 2019.

    Raises:
        ScoreError: the coefficients do not define a cost, a class is empty, or a score is NaN or infinite.
    """
    check_cost(cost, "these coefficients")
    return min_cost(det_curve(bonafide, spoof), cost)


def _checked(cost: Coefficients, asv: AsvErrorRates) -> Coefficients:
    check_cost(
        cost,
        f"an ASV system that rejects {asv.p_miss:.1%} of target and {asv.p_miss_spoof:.1%} of spoof trials and "
        f"accepts {asv.p_fa:.1%} of nontarget trials",
    )
    return cost


def _array(scores: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(scores, dtype=np.float64)
    if not array.size:
        raise ScoreError(f"no ASV {name} scores; expected target, nontarget and spoof trials")
    return array
