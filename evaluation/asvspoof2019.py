"""The report of ASVspoof 2019: one countermeasure, pooled and per attack, and the ASV system behind it.

The figures are those of `comparison.judge`; this file arranges them as the evaluation code of the challenge does
(Todisco et al., "ASVspoof 2019: future horizons in spoofed and fake audio detection", Interspeech 2019; t-DCF of the
ASVspoof 2019 evaluation plan).
"""

from dataclasses import dataclass, replace

from spoofcache.evaluation.comparison import judge
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Table
from spoofcache.evaluation.tandem import asv_performance
from spoofcache.evaluation.trials import Group, pooled_group
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import UNKNOWN

MEASURES_2019 = ("eer", "min_tdcf_2019")


@dataclass(frozen=True)
class Detection:
    """How well a countermeasure separates the bona fide trials from some of the spoof trials; rates are fractions."""

    n_spoof: int
    eer: float
    eer_threshold: float
    asv_p_miss_spoof: float | None = None
    """Share of these attacks' ASV trials that the ASV system rejects; None without ASV scores."""
    min_tdcf: float | None = None
    """None without ASV scores, and if the ASV system rejects every spoof trial, so that no countermeasure is needed."""
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
    """All figures that the ASVspoof 2019 evaluation reports for a countermeasure."""

    n_bonafide: int
    pooled: Detection
    asv: AsvPerformance | None
    per_attack: dict[str, Detection]


def evaluate_2019(evaluated: EvaluationSet) -> Evaluation:
    """Evaluate the first system of `evaluated` as ASVspoof 2019 did; without ASV scores, there are EERs only.

    All figures share one ASV threshold. The pooled t-DCF uses the P_miss,spoof of all ASV spoof trials; the t-DCF of
    an attack uses that of the attack's own ASV trials. Spoof trials of unknown attack form the group `-`.

    Raises:
        ScoreError: the t-DCF is not defined for this ASV system, or an attack is unknown or has no ASV trials.
    """
    trials = evaluated.trials
    attacks = trials.columns["attack"]
    names = sorted(set(attacks[~trials.is_bonafide].tolist()))
    if evaluated.asv and UNKNOWN in names:
        raise ScoreError(
            f"{evaluated.name}: some spoof trials have no attack; the t-DCF needs the attack of every spoof trial"
        )
    per_attack = {
        name: _detection(judge(evaluated, Group("attack", name, trials.is_bonafide | (attacks == name)), MEASURES_2019))
        for name in names
    }
    pooled = replace(pooled_group(trials), takes_every_asv_spoof=True)
    table = judge(evaluated, pooled, MEASURES_2019)
    return Evaluation(table.n_bonafide, _detection(table), _asv_performance(evaluated, pooled), per_attack)


def as_text(evaluation: Evaluation, warning: str = "") -> str:
    """Format the evaluation as aligned plain text: the pooled figures, the ASV system, the table of attacks.

    Args:
        evaluation: the figures.
        warning: why the pooled EER is doubtful (`checks.separation_warning`), for a line beneath it.
    """
    blocks = [_pooled_text(evaluation, warning), _table(evaluation)]
    if evaluation.asv:
        blocks.insert(1, _asv_text(evaluation.asv))
    return "\n\n".join(blocks)


def _pooled_text(evaluation: Evaluation, warning: str) -> str:
    pooled, n_attacks = evaluation.pooled, len(evaluation.per_attack)
    lines = [
        f"Countermeasure: {evaluation.n_bonafide:,} bona fide + {pooled.n_spoof:,} spoof trials "
        f"({n_attacks} attack{'s' * (n_attacks != 1)})",
        f"  EER        {100 * pooled.eer:.10f} %    at threshold {pooled.eer_threshold:.7g}",
    ]
    if warning:
        lines.append(f"  WARNING    {warning}")
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


def _asv_performance(evaluated: EvaluationSet, pooled: Group) -> AsvPerformance | None:
    asv = evaluated.asv
    if asv is None:
        return None
    performance = asv_performance(asv, evaluated.trials, pooled)
    return AsvPerformance(
        n_target=asv.target.size,
        n_nontarget=asv.nontarget.size,
        n_spoof=performance.n_spoof,
        eer=performance.eer.rate,
        threshold=performance.eer.threshold,
        **performance.rates._asdict(),
    )


def _detection(table: Table) -> Detection:
    (figures,) = table.figures.values()
    eer, tdcf = figures["eer"], figures["min_tdcf_2019"]
    assert eer.value is not None  # both classes are there
    assert eer.threshold is not None
    return Detection(
        n_spoof=table.n_spoof,
        eer=eer.value,
        eer_threshold=eer.threshold,
        asv_p_miss_spoof=table.asv.p_miss_spoof if table.asv else None,
        min_tdcf=tdcf.value,
        min_tdcf_threshold=tdcf.threshold,
    )
