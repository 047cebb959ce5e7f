"""MEASURES: the registry of measures, with the title, the format and the function of each.

Every measure is better when it is smaller. The formulas and their sources are in `metrics/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

from spoofcache.metrics.dcf import ASVSPOOF5, Coefficients, actual_dcf, bayes_threshold, cllr, min_cllr, min_cost
from spoofcache.metrics.decision import Decision, confusion_at
from spoofcache.metrics.det import DetCurve, FloatArray, VerificationCurve, det_curve, equal_error_rate_of
from spoofcache.metrics.tdcf import AsvErrorRates
from spoofcache.metrics.teer import tandem_equal_error_rate


class Sample:
    """The scores of one system on one group of trials. The DET curve that several measures share is computed once.

    `decision` is what the system knows of its own scores, if it is a run.
    """

    def __init__(self, bonafide: FloatArray, spoof: FloatArray, decision: Decision | None = None) -> None:
        self.bonafide, self.spoof, self.decision = bonafide, spoof, decision

    @cached_property
    def curve(self) -> DetCurve:
        """The detection error trade-off of these scores."""
        return det_curve(self.bonafide, self.spoof)


@dataclass(frozen=True)
class Tandem:
    """What is known of the ASV system behind the countermeasures for a group of trials."""

    tdcf_2019: Coefficients | None = None
    tdcf_2021: Coefficients | None = None
    curve: VerificationCurve | None = None
    asv: AsvErrorRates | None = None


class Outcome(NamedTuple):
    """The value of a measure, and the threshold at which it is reached (None for a measure without a threshold)."""

    value: float
    threshold: float | None = None


class Measure(NamedTuple):
    """One column of a table."""

    title: str
    """Heading in plain text: `EER`, `min t-DCF (2019)`."""
    percent: bool
    """Whether it is shown as a percentage (the value itself is a fraction)."""
    digits: int
    """Number of decimals shown."""
    of: Callable[[Sample, Tandem], Outcome | None]
    """Computes the measure; returns None if the tandem lacks what it needs."""
    needs: str = ""
    """What else the measure needs: `tandem` for ASV scores (or coefficients, for the t-DCF of 2021), `llr` for scores
    that are log-likelihood ratios, `run` for a run with a calibration, `sasv` for scores of three classes."""
    bootstrapped: bool = True
    """Whether intervals are computed for it."""
    largest: float = 1.0
    """The largest possible value: 1 for error rates, and for costs at their best threshold."""


def _cost(sample: Sample, coefficients: Coefficients | None) -> Outcome | None:
    return Outcome(*min_cost(sample.curve, coefficients)) if coefficients else None


def _t_eer(sample: Sample, tandem: Tandem) -> Outcome | None:
    if tandem.curve is None:
        return None
    found = tandem_equal_error_rate(sample.curve, tandem.curve)
    return Outcome(found.rate, found.cm_threshold)


def _act_dcf(sample: Sample, tandem: Tandem) -> Outcome:
    return Outcome(actual_dcf(sample.bonafide, sample.spoof), bayes_threshold())


def _hter(sample: Sample, _: Tandem) -> Outcome | None:
    if sample.decision is None:
        return None
    threshold = sample.decision.threshold
    return Outcome(confusion_at(threshold, sample.bonafide, sample.spoof).half_total_error_rate, threshold)


def _calibrated(of: Callable[[FloatArray, FloatArray], float]) -> Callable[[Sample, Tandem], Outcome | None]:
    """A measure of log-likelihood ratios, of those that the run's calibration makes."""

    def measure(sample: Sample, _: Tandem) -> Outcome | None:
        known = sample.decision
        return None if known is None else Outcome(of(known.llr(sample.bonafide), known.llr(sample.spoof)))

    return measure


MEASURES: Mapping[str, Measure] = {
    "eer": Measure("EER", True, 3, lambda sample, _: Outcome(*equal_error_rate_of(sample.curve))),
    "hter": Measure("HTER at dev threshold", True, 3, _hter, needs="run"),
    "min_tdcf_2019": Measure("min t-DCF (2019)", False, 5, lambda s, t: _cost(s, t.tdcf_2019), needs="tandem"),
    "min_tdcf_2021": Measure("min t-DCF (2021)", False, 5, lambda s, t: _cost(s, t.tdcf_2021), needs="tandem"),
    "t_eer": Measure("t-EER", True, 3, _t_eer, needs="tandem", bootstrapped=False),
    "min_dcf": Measure("min DCF", False, 5, lambda sample, _: _cost(sample, ASVSPOOF5.cm)),
    "act_dcf": Measure("actual DCF", False, 5, _act_dcf, needs="llr", largest=inf),
    "cllr": Measure("Cllr (bits)", False, 4, lambda s, _: Outcome(cllr(s.bonafide, s.spoof)), "llr", largest=inf),
    "min_cllr": Measure("min Cllr (bits)", False, 4, lambda s, _: Outcome(min_cllr(s.bonafide, s.spoof))),
    "run_act_dcf": Measure("actual DCF, run's calibration", False, 5, _calibrated(actual_dcf), "run", largest=inf),
    "run_cllr": Measure("Cllr, run's calibration (bits)", False, 4, _calibrated(cllr), "run", largest=inf),
    "a_dcf": Measure("a-DCF", False, 5, lambda *_: None, needs="sasv"),  # evaluation/sasv.py has its three classes
}
CM_MEASURES = tuple(name for name, measure in MEASURES.items() if measure.needs != "sasv")
"""The measures of countermeasure scores."""
OPTION_FOR: Mapping[str, str] = {"tandem": "--asv-scores", "run": "--run"}
"""The option of evaluate.py that gives what a measure needs."""


def default_measures(tandem: bool, costs: bool, calibrated: bool, decided: bool = False) -> tuple[str, ...]:
    """List the measures that the inputs allow.

    Args:
        tandem: whether there are scores of an ASV system.
        costs: whether there are coefficients of the t-DCF of 2021.
        calibrated: whether some scores are meant as log-likelihood ratios.
        decided: whether all systems are runs that know their threshold and their calibration.
    """
    wanted = {"eer", "min_dcf"}
    wanted |= {"min_tdcf_2019", "min_tdcf_2021", "t_eer"} if tandem else set()
    wanted |= {"min_tdcf_2021"} if costs else set()
    wanted |= {"hter", "run_act_dcf", "run_cllr"} if decided else set()
    wanted |= {"act_dcf", "cllr", "min_cllr"} if calibrated else set()
    return tuple(name for name in MEASURES if name in wanted)
