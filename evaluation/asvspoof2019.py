"""The evaluation of one countermeasure: pooled and per attack, with the ASV system that stands behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spoofcache.evaluation.checks import SIGN_WARNING
from spoofcache.evaluation.trials import trials_of_scores
from spoofcache.metrics.det import FloatArray, equal_error_rate
from spoofcache.metrics.scores import AsvScores, CmScores
from spoofcache.metrics.tdcf import AsvErrorRates, asv_error_rates, coefficients_2019, min_tdcf


@dataclass(frozen=True)
class Detection:
    """How well all bona fide trials are told from some of the spoof trials; rates are fractions."""

    n_spoof: int
    eer: float
    eer_threshold: float
    asv_p_miss_spoof: float | None = None
    """Share of the ASV trials of these spoofs that the ASV system rejects; None without ASV scores."""
    min_tdcf: float | None = None
    """None without ASV scores, and where no spoof deceives the ASV system: no countermeasure is needed there."""
    min_tdcf_threshold: float | None = None


@dataclass(frozen=True)
class AsvPerformance:
    """The ASV system at its equal error rate between target and nontarget trials; rates are fractions."""

    n_target: int
    n_nontarget: int
    n_spoof: int
    eer: float
    threshold: float
    p_fa: float
    p_miss: float
    p_miss_spoof: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that the ASVspoof 2019 evaluation says of a countermeasure."""

    n_bonafide: int
    pooled: Detection
    asv: AsvPerformance | None
    per_attack: dict[str, Detection]

    @property
    def sign_looks_inverted(self) -> bool:
        """A detector that is worse than chance; the numbers stay as they are."""
        return self.pooled.eer > 0.5


def evaluate_2019(cm: CmScores, asv: AsvScores | None = None) -> Evaluation:
    """Evaluate `cm` as ASVspoof 2019 did; without `asv` there are equal error rates only.

    One ASV threshold serves all. P_miss,spoof of the pooled t-DCF is that of all ASV spoof trials, P_miss,spoof of
    one attack's t-DCF that of its own.

    Raises:
        ScoreError: the t-DCF is not defined for this ASV system, or an attack has no ASV trials.
    """
    spoof_by_attack = _by_attack(trials_of_scores(cm).columns["attack"][~cm.require_keys()], cm.spoof)
    if asv is None:
        per_attack = {attack: _detection(cm.bonafide, spoof) for attack, spoof in spoof_by_attack.items()}
        return Evaluation(cm.bonafide.size, _detection(cm.bonafide, cm.spoof), None, per_attack)
    performance, asv_by_attack = _asv_performance(asv), _by_attack(np.array(asv.spoof_attacks), asv.spoof)
    per_attack = {}
    for attack, spoof in spoof_by_attack.items():
        asv_spoof = asv_by_attack.get(attack, np.empty(0))
        rates = asv_error_rates(asv.target, asv.nontarget, asv_spoof, performance.threshold)
        per_attack[attack] = _detection(cm.bonafide, spoof, rates)
    rates = AsvErrorRates(performance.p_fa, performance.p_miss, performance.p_miss_spoof)
    return Evaluation(cm.bonafide.size, _detection(cm.bonafide, cm.spoof, rates), performance, per_attack)


def as_text(evaluation: Evaluation) -> str:
    """The evaluation as aligned plain text: the pooled figures, the ASV system, the table of attacks."""
    blocks = [_pooled_text(evaluation), _table(evaluation)]
    if evaluation.asv:
        blocks.insert(1, _asv_text(evaluation.asv))
    return "\n\n".join(blocks)


def _pooled_text(evaluation: Evaluation) -> str:
    pooled, n_attacks = evaluation.pooled, len(evaluation.per_attack)
    lines = [
        f"Countermeasure: {evaluation.n_bonafide:,} bona fide + {pooled.n_spoof:,} spoof trials "
        f"({n_attacks} attack{'s' * (n_attacks != 1)})",
        f"  EER        {100 * pooled.eer:.10f} %    at threshold {pooled.eer_threshold:.7g}",
    ]
    if evaluation.sign_looks_inverted:
        lines.append(f"  WARNING    {SIGN_WARNING}")
    if pooled.min_tdcf is not None:
        lines.append(
            f"  min t-DCF  {pooled.min_tdcf:.12f}    at threshold {pooled.min_tdcf_threshold:.7g}"
            "    (ASVspoof 2019 form)"
        )
    elif evaluation.asv:
        lines.append("  min t-DCF  not defined: the ASV system rejects every spoof trial by itself")
    else:
        lines.append("  min t-DCF  needs the scores of an ASV system (--asv-scores)")
    return "\n".join(lines)


def _asv_text(asv: AsvPerformance) -> str:
    return (
        f"ASV system: {asv.n_target:,} target + {asv.n_nontarget:,} nontarget + {asv.n_spoof:,} spoof trials\n"
        f"  EER        {100 * asv.eer:.10f} %    at threshold {asv.threshold:.7g}, where\n"
        f"  P_fa {asv.p_fa:.10f}    P_miss {asv.p_miss:.10f}    P_miss,spoof {asv.p_miss_spoof:.10f}"
    )


def _table(evaluation: Evaluation) -> str:
    rows = {**evaluation.per_attack, "pooled": evaluation.pooled}
    width = max(len(name) for name in ("attack", *rows))
    lines = [f"{'attack':<{width}}  spoof trials     EER %" + "  min t-DCF  ASV P_miss,spoof" * bool(evaluation.asv)]
    for name, row in rows.items():
        line = f"{name:<{width}}  {row.n_spoof:>12,}  {100 * row.eer:>8.4f}"
        if evaluation.asv:
            tdcf = "–" if row.min_tdcf is None else f"{row.min_tdcf:.5f}"
            line += f"  {tdcf:>9}  {row.asv_p_miss_spoof:>16.4f}"
        lines.append(line)
    if evaluation.asv and any(row.min_tdcf is None for row in rows.values()):
        lines.append("– no t-DCF: the ASV system rejects every spoof trial of the attack by itself")
    return "\n".join(lines)


def _asv_performance(asv: AsvScores) -> AsvPerformance:
    eer = equal_error_rate(asv.target, asv.nontarget)
    rates = asv_error_rates(asv.target, asv.nontarget, asv.spoof, eer.threshold)
    return AsvPerformance(
        n_target=asv.target.size,
        n_nontarget=asv.nontarget.size,
        n_spoof=asv.spoof.size,
        eer=eer.rate,
        threshold=eer.threshold,
        **rates._asdict(),
    )


def _detection(bonafide: FloatArray, spoof: FloatArray, asv: AsvErrorRates | None = None) -> Detection:
    eer = equal_error_rate(bonafide, spoof)
    if asv is None:
        return Detection(spoof.size, eer.rate, eer.threshold)
    if asv.p_miss_spoof == 1:  # C2 = 0
        return Detection(spoof.size, eer.rate, eer.threshold, asv.p_miss_spoof)
    tdcf = min_tdcf(bonafide, spoof, coefficients_2019(asv))
    return Detection(spoof.size, eer.rate, eer.threshold, asv.p_miss_spoof, tdcf.value, tdcf.threshold)


def _by_attack(attacks: NDArray[np.str_], scores: FloatArray) -> dict[str, FloatArray]:
    return {str(attack): scores[attacks == attack] for attack in np.unique(attacks)}
