"""The comparison of systems on one test set: every figure with its interval, the best system, significance tests."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import BY_TRIAL, NO_INTERVALS, Comparison, Table, Uncertainty, figures_of
from spoofcache.evaluation.measures import MEASURES, Outcome, Sample
from spoofcache.evaluation.remarks import notes_about, undefined_notes, warnings_about
from spoofcache.evaluation.tandem import tandem_behind
from spoofcache.evaluation.trials import POOLED, Group, first_of, groups_of, values_of
from spoofcache.metrics.bootstrap import ClusterError, Resampling, bootstrap
from spoofcache.metrics.decision import Decision, confusion_at
from spoofcache.metrics.det import FloatArray, ScoreError


def compare(
    evaluated: EvaluationSet,
    measures: Sequence[str],
    by: Sequence[str] = (),
    uncertainty: Uncertainty = BY_TRIAL,
    advance: Callable[[int], object] = lambda n: None,
) -> Comparison:
    """Judge all systems by all `measures` (of MEASURES), on all trials and on the groups of each column in `by`.

    Args:
        evaluated: the test set with the scores of the systems.
        measures: names of measures, as in MEASURES.
        by: names of the columns whose groups are judged, too.
        uncertainty: how intervals and tests are computed.
        advance: is called with 1 after each replicate, `replicates` times for each of the `groups_of` the trials.

    Raises:
        ScoreError: the trials do not have a column, the ASV scores lack an attack or allow no t-DCF, or the clusters do
            not allow a bootstrap.
    """
    groups, notes = groups_of(evaluated.trials, by)
    tables: dict[str, dict[str, Table]] = {}
    without_intervals: dict[str, list[str]] = {}
    _check_costs(evaluated, groups)
    for group in groups:
        try:
            table = judge(evaluated, group, measures, uncertainty, advance)
        except ClusterError as error:
            if group.column == POOLED:
                raise
            table = judge(evaluated, group, measures, replace(uncertainty, replicates=0), advance)
            without_intervals.setdefault(str(error), []).append(group.value)
            advance(uncertainty.replicates)
        tables.setdefault(group.column, {})[group.value] = table
    pooled = tables.pop(POOLED)[POOLED]
    notes += [f"No intervals for {first_of(names)}: {error}." for error, names in without_intervals.items()]
    notes = [
        *notes_about(evaluated, measures, by, uncertainty),
        *notes,
        *undefined_notes(measures, pooled, tables),
    ]
    warnings = warnings_about(evaluated, measures)
    return Comparison(evaluated.name, tuple(measures), pooled, tables, tuple(warnings), tuple(notes))


def judge(
    evaluated: EvaluationSet,
    group: Group,
    measures: Sequence[str],
    uncertainty: Uncertainty = NO_INTERVALS,
    advance: Callable[[int], object] = lambda n: None,
) -> Table:
    """Judge all systems on one group of the trials.

    Raises:
        ScoreError: the ASV scores have no trials of one of the group's attacks, or allow no t-DCF.
        ClusterError: the clusters do not allow a bootstrap.
    """
    return _Judge(evaluated, group, measures).table(uncertainty, advance)


class _Judge:
    """All systems on one group of trials."""

    def __init__(self, evaluated: EvaluationSet, group: Group, measures: Sequence[str]) -> None:
        self._trials, self._group, self._measures = evaluated.trials, group, measures
        self._tandem = tandem_behind(evaluated, group, measures)
        self._is_bonafide = evaluated.trials.is_bonafide[group.members]
        self._scores = [scores[group.members] for scores in evaluated.systems.values()]
        self._names = list(evaluated.systems)
        self._decisions = [evaluated.decisions.get(name) for name in self._names]

    def table(self, uncertainty: Uncertainty, advance: Callable[[int], object]) -> Table:
        classes = [(scores[self._is_bonafide], scores[~self._is_bonafide]) for scores in self._scores]
        outcomes = [self._outcomes(*of, known) for of, known in zip(classes, self._decisions, strict=True)]
        replicates = self._replicates(uncertainty, advance)
        columns = []
        for index, name in enumerate(self._measures):
            column = [of_system[index] for of_system in outcomes]
            drawn = replicates[:, :, index] if replicates is not None and MEASURES[name].bootstrapped else None
            columns.append(figures_of(column, drawn, uncertainty.level))
        figures = {
            system: {name: column[number] for name, column in zip(self._measures, columns, strict=True)}
            for number, system in enumerate(self._names)
        }
        n_bonafide = int(np.count_nonzero(self._is_bonafide))
        decided = {
            name: confusion_at(known.threshold, *of)
            for name, known, of in zip(self._names, self._decisions, classes, strict=True)
            if known is not None
        }
        return Table(n_bonafide, self._is_bonafide.size - n_bonafide, figures, self._tandem.asv, decided)

    def _outcomes(
        self, bonafide: FloatArray, spoof: FloatArray, decision: Decision | None, replicate: bool = False
    ) -> list[Outcome | None]:
        sample = Sample(bonafide, spoof, decision)
        wanted = (MEASURES[name] for name in self._measures)
        return [None if replicate and not m.bootstrapped else m.of(sample, self._tandem) for m in wanted]

    def _replicates(self, uncertainty: Uncertainty, advance: Callable[[int], object]) -> FloatArray | None:
        """Figures [replicates, systems, measures], NaN where undefined; None if no intervals are wanted."""
        if not uncertainty.replicates:
            return None
        clusters = {
            name: values_of(self._trials, name)[self._group.members]
            for name in uncertainty.clusters
            if name != self._group.column
        }
        resampling = Resampling(np.where(self._is_bonafide, 0, 1), clusters)

        def statistic(decision: Decision | None, bonafide: FloatArray, spoof: FloatArray) -> list[float]:
            outcomes = self._outcomes(bonafide, spoof, decision, replicate=True)
            return [np.nan if outcome is None else outcome.value for outcome in outcomes]

        statistics = [partial(statistic, known) for known in self._decisions]
        return bootstrap(self._scores, statistics, resampling, uncertainty.replicates, uncertainty.seed, advance)


def _check_costs(evaluated: EvaluationSet, groups: Sequence[Group]) -> None:
    """Check that every condition that has coefficients is the name of exactly one group, or raise ScoreError."""
    values = [group.value for group in groups]
    for condition in evaluated.costs_2021:
        if values.count(condition) != 1:
            raise ScoreError(
                f"t-DCF coefficients of {condition}: {values.count(condition)} groups have that name; expected one of "
                f"{first_of(values, 10)} (--by names the column)"
            )
