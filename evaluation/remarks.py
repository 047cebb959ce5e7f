"""Warnings and notes of a comparison: what makes its scores doubtful, and how its figures were computed."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spoofcache.evaluation.checks import not_llr_warning, separation_warning, warnings_of
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import SIGNIFICANT, Table, Uncertainty, can_be_significant
from spoofcache.evaluation.measures import MEASURES
from spoofcache.evaluation.tandem import asv_notes, asv_warnings, uses_asv
from spoofcache.evaluation.trials import TrialList, first_of, values_of
from spoofcache.metrics.decision import Decision, confusion_at
from spoofcache.metrics.scores import UNKNOWN

FEW_CLUSTERS = 20
"""With fewer clusters than this, percentile intervals tend to be too narrow."""
FEW_TRIALS = 20
"""With fewer trials in a class, one trial moves its error rate by more than 5 %."""


def warnings_about(evaluated: EvaluationSet, measures: Sequence[str]) -> Iterator[str]:
    """Warn of everything that makes the scores of an evaluation set doubtful for these measures."""
    yield from evaluated.warnings
    is_bonafide = evaluated.trials.is_bonafide
    for key, number in (("bona fide", np.count_nonzero(is_bonafide)), ("spoof", np.count_nonzero(~is_bonafide))):
        if number < FEW_TRIALS:
            yield f"{evaluated.name}: only {number} {key} trials; each of them moves every figure noticeably"
    wants_llr = any(MEASURES[name].needs == "llr" for name in measures)
    for name, scores in evaluated.systems.items():
        if name in evaluated.derived:
            inseparable = separation_warning(scores[is_bonafide], scores[~is_bonafide])
            yield from [f"{name}: {inseparable}"] if inseparable else ()
            continue
        yield from warnings_of(name, scores, is_bonafide)
        yield from not_llr_warning(name, scores) if wants_llr else ()
    if uses_asv(measures):
        yield from asv_warnings(evaluated)


def notes_about(
    evaluated: EvaluationSet, measures: Sequence[str], by: Sequence[str], uncertainty: Uncertainty
) -> Iterator[str]:
    """State what a reader must know to reproduce the figures."""
    yield from evaluated.notes
    if uncertainty.replicates:
        yield intervals_note(_how_drawn(evaluated.trials, by, uncertainty), uncertainty, len(evaluated.systems))
    for name, decision in evaluated.decisions.items():
        yield decided_note(name, evaluated, decision)
    if uses_asv(measures):
        yield from asv_notes(evaluated, by)
    if evaluated.costs_2021 and "min_tdcf_2021" in measures:
        yield f"min t-DCF (2021): coefficients were given for {first_of(list(evaluated.costs_2021), 10)}."


def decided_note(name: str, evaluated: EvaluationSet, decision: Decision) -> str:
    """State what a run's own threshold makes of the trials, and where the threshold comes from."""
    is_bonafide, scores = evaluated.trials.is_bonafide, evaluated.systems[name]
    found = confusion_at(decision.threshold, scores[is_bonafide], scores[~is_bonafide])
    n_bonafide = int(np.count_nonzero(is_bonafide))
    return (
        f"{name} at {decision.threshold:.5g}, {decision.origin}: accuracy {found.accuracy:.2%}, F1 of spoof "
        f"{found.f1_of_spoof:.4f}; {found.bonafide_as_spoof:,} of {n_bonafide:,} bona fide trials called spoof, "
        f"{found.spoof_as_bonafide:,} of {is_bonafide.size - n_bonafide:,} spoof trials called bona fide."
    )


def intervals_note(how: str, uncertainty: Uncertainty, n_systems: int) -> str:
    """State how the intervals and, with several systems, the tests were computed."""
    note = (
        f"Intervals: {uncertainty.level:.0%} percentile bootstrap, {uncertainty.replicates:,} replicates (seed "
        f"{uncertainty.seed}), {how}."
    )
    if n_systems > 1 and can_be_significant(n_systems, uncertainty.replicates):
        note += (
            " Differences from the best system: paired bootstrap test on the same draws, with Holm's correction for "
            "the number of systems in a cell (not for the number of cells)."
        )
    elif n_systems > 1:
        least = round(2 * (n_systems - 1) / SIGNIFICANT)
        note += f" No tests were made: with {n_systems} systems they need more than {least} replicates."
    return note


def undefined_notes(measures: Sequence[str], pooled: Table, by: Mapping[str, Mapping[str, Table]]) -> Iterator[str]:
    """Write a sentence for each measure that is undefined for some system or group."""
    named = {"all trials": pooled, **{value: table for tables in by.values() for value, table in tables.items()}}
    for measure in measures:
        empty = [
            name
            for name, table in named.items()
            if any(figures[measure].value is None for figures in table.figures.values())
        ]
        if empty:
            yield (
                f"{MEASURES[measure].title} is not defined for {first_of(empty)}: no costs are known there, or the ASV "
                "system rejects every spoof trial by itself."
            )


def _how_drawn(trials: TrialList, by: Sequence[str], uncertainty: Uncertainty) -> str:
    if not uncertainty.clusters:
        return "drawing trials one by one within each class"
    sizes = {name: len(set(values_of(trials, name).tolist()) - {UNKNOWN}) for name in uncertainty.clusters}
    how = "drawing whole " + " and ".join(f"{name}s ({size})" for name, size in sizes.items())
    if min(sizes.values()) < FEW_CLUSTERS:
        how += ", which are few: the intervals are rough"
    both = [name for name in uncertainty.clusters if name in by]
    return how + "".join(f"; in the tables by {name}, {name}s are not drawn as a whole" for name in both)
