"""The ASV system behind the countermeasures: its error rates, and the t-DCF coefficients that follow from them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spoofcache.evaluation.checks import separation_warning
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.measures import MEASURES, Tandem
from spoofcache.evaluation.trials import Group, TrialList, first_of, pooled_group
from spoofcache.metrics.det import EqualErrorRate, FloatArray, ScoreError, verification_curve
from spoofcache.metrics.scores import UNKNOWN, AsvScores
from spoofcache.metrics.tdcf import AsvErrorRates, asv_error_rates, coefficients_2019, coefficients_2021


class AsvPerformance(NamedTuple):
    """An ASV system at its equal error rate between target and nontarget trials."""

    eer: EqualErrorRate
    rates: AsvErrorRates
    """Its error rates at the threshold of that equal error rate, for the requested spoof trials."""
    n_spoof: int
    """Number of these spoof trials."""


def asv_performance(asv: AsvScores, trials: TrialList, group: Group) -> AsvPerformance:
    """Evaluate the ASV system on the spoof trials of a group.

    All groups share one threshold, that of the EER between target and nontarget trials, as in the evaluation plans of
    ASVspoof 2019 and 2021.

    Raises:
        ScoreError: the ASV scores have no trials of one of the group's attacks.
    """
    spoof = _asv_spoof(asv, trials, group)
    rates = asv_error_rates(asv.target, asv.nontarget, spoof, asv.eer.threshold)
    return AsvPerformance(asv.eer, rates, spoof.size)


def tandem_behind(evaluated: EvaluationSet, group: Group, measures: Sequence[str]) -> Tandem:
    """Compute what the `measures` need to know of the ASV system for the spoof trials of a group.

    The ASV system's spoof trials of the group's attacks count. If the group has spoof trials of unknown attack, all
    spoof trials of the ASV system count.

    Raises:
        ScoreError: the ASV scores have no trials of one of the group's attacks, or allow no t-DCF.
    """
    given, asv = evaluated.costs_2021.get(group.value), evaluated.asv
    if asv is None:
        return Tandem(tdcf_2021=given)
    spoof = _asv_spoof(asv, evaluated.trials, group)
    curve = verification_curve(asv.target, asv.nontarget, spoof) if "t_eer" in measures else None
    rates = asv_performance(asv, evaluated.trials, group).rates
    if rates.p_miss_spoof == 1:  # no spoof trial deceives the ASV system, so no countermeasure is needed
        return Tandem(tdcf_2021=given, curve=curve, asv=rates)
    derived = None if evaluated.costs_2021 or "min_tdcf_2021" not in measures else coefficients_2021(rates)
    return Tandem(coefficients_2019(rates) if "min_tdcf_2019" in measures else None, given or derived, curve, asv=rates)


def asv_warnings(evaluated: EvaluationSet) -> Iterator[str]:
    """Warn of what makes the ASV scores doubtful."""
    asv, trials = evaluated.asv, evaluated.trials
    if asv is None:
        return
    inseparable = separation_warning(asv.target, asv.nontarget)
    if inseparable:
        yield f"the ASV system: {inseparable.replace('bona fide', 'target')}"
    if (trials.columns["attack"][~trials.is_bonafide] == UNKNOWN).any():
        yield "the trials do not name their attacks: whether the ASV scores are of the same corpus cannot be checked"


def asv_notes(evaluated: EvaluationSet, by: Sequence[str]) -> Iterator[str]:
    """State the error rates of the ASV system, and on which of its spoof trials the groups by `by` are judged."""
    asv, trials = evaluated.asv, evaluated.trials
    if asv is None:
        return
    eer, rates, n_spoof = asv_performance(asv, trials, pooled_group(trials))
    yield (
        f"ASV system: EER {100 * eer.rate:.4f} % between {asv.target.size:,} target and {asv.nontarget.size:,} "
        f"nontarget trials; at its threshold {eer.threshold:.7g} it accepts {1 - rates.p_miss_spoof:.2%} of "
        f"{n_spoof:,} spoof trials of the attacks that are judged."
    )
    others = [column for column in by if column != "attack"]
    if others:
        yield (
            f"t-DCF and t-EER by {' and '.join(others)} use the ASV error rates of each group's attacks: ASV scores do "
            "not state any other condition."
        )


def uses_asv(measures: Sequence[str]) -> bool:
    """Whether one of the measures needs an ASV system."""
    return any(MEASURES[name].needs == "tandem" for name in measures)


def _asv_spoof(asv: AsvScores, trials: TrialList, group: Group) -> FloatArray:
    attacks = set(trials.columns["attack"][group.members & ~trials.is_bonafide].tolist())
    known = asv.attacks
    if group.takes_every_asv_spoof or UNKNOWN in attacks or attacks == known:
        return asv.spoof
    if not attacks <= known:
        missing = first_of(sorted(attacks - known))
        raise ScoreError(f"the ASV scores have no trials of attack {missing}; expected those of every attack")
    return asv.spoof_of(attacks)
