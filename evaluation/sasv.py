"""The comparison of systems with one score for speaker and spoofing together, by the a-DCF."""

from collections.abc import Callable, Mapping

import numpy as np

from spoofcache.evaluation.figures import BY_TRIAL, Comparison, Table, Uncertainty, figures_of
from spoofcache.evaluation.measures import Outcome
from spoofcache.evaluation.remarks import intervals_note
from spoofcache.metrics.bootstrap import Resampling, bootstrap
from spoofcache.metrics.dcf import a_dcf
from spoofcache.metrics.det import FloatArray, ScoreError, det_curve, verification_curve
from spoofcache.metrics.scores import AsvScores
from spoofcache.metrics.teer import tandem_equal_error_rate
from spoofcache.metrics.track2_files import TandemScores, bona_fide


def compare_sasv(
    systems: Mapping[str, AsvScores],
    uncertainty: Uncertainty = BY_TRIAL,
    advance: Callable[[int], object] = lambda n: None,
) -> Comparison:
    """Compare systems that scored the same target, nontarget and spoof trials in the same order.

    Raises:
        ScoreError: the trials of the systems differ.
    """
    first_name, first = next(iter(systems.items()))
    for name, scores in systems.items():
        if [each.size for each in scores.classes] != [each.size for each in first.classes] or (
            scores.spoof_attacks != first.spoof_attacks
        ):
            raise ScoreError(f"{name} and {first_name} are not scores of the same trials in the same order")
    outcomes = [Outcome(*a_dcf(*scores.classes)) for scores in systems.values()]
    drawn = None
    if uncertainty.replicates:
        classes = np.repeat(np.arange(3), [each.size for each in first.classes])
        every = [np.concatenate(scores.classes) for scores in systems.values()]
        drawn = bootstrap(every, _statistic, Resampling(classes, {}), uncertainty.replicates, uncertainty.seed, advance)
    figures = figures_of(outcomes, None if drawn is None else drawn[:, :, 0], uncertainty.level)
    by_system = {name: {"a_dcf": figure} for name, figure in zip(systems, figures, strict=True)}
    tandems = [scores for scores in systems.values() if isinstance(scores, TandemScores)]
    measures = ("a_dcf", "t_eer") if len(tandems) == len(systems) else ("a_dcf",)
    if "t_eer" in measures:
        rates = figures_of([_t_eer(one) for one in tandems], None, uncertainty.level)
        by_system = {name: by_system[name] | {"t_eer": rate} for name, rate in zip(systems, rates, strict=True)}
    table = Table(first.target.size + first.nontarget.size, first.spoof.size, by_system)
    notes = [
        f"{first.target.size:,} target and {first.nontarget.size:,} nontarget trials are the bona fide ones; costs and "
        "priors of ASVspoof 5, track 2."
    ]
    if uncertainty.replicates:
        notes.append(intervals_note("drawing trials one by one within each class", uncertainty, len(systems)))
    notes += [note for scores in systems.values() for note in scores.notes]
    return Comparison("speaker and spoofing together (SASV)", measures, table, notes=tuple(notes))


def _t_eer(scores: TandemScores) -> Outcome:
    cm = det_curve(bona_fide(scores.cm), scores.cm.spoof)
    return Outcome(tandem_equal_error_rate(cm, verification_curve(*scores.asv.classes)).rate)


def _statistic(target: FloatArray, nontarget: FloatArray, spoof: FloatArray) -> list[float]:
    return [a_dcf(target, nontarget, spoof).value]
