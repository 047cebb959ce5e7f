"""Systems × measures on one test set: every figure with its interval, the best system, what differs by chance only."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from metrics.bootstrap import UNKNOWN, ClusterError, Resampling, bootstrap, holm, paired_p_value, percentile_interval
from metrics.checks import not_llr_warning, warnings_of
from metrics.dcf import Coefficients
from metrics.det import FloatArray, ScoreError, equal_error_rate, verification_curve
from metrics.measures import MEASURES, Sample, Tandem
from metrics.scores import AsvScores, TrialList
from metrics.tdcf import asv_error_rates, coefficients_2019, coefficients_2021

POOLED = "pooled"
FEW_CLUSTERS = 20
"""With fewer clusters than this, percentile intervals tend to be too narrow."""


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """The trials of one test set with N scores for each system, and the ASV system that stands behind them."""

    name: str
    trials: TrialList
    systems: Mapping[str, FloatArray]
    """Scores [N] in the order of `trials`, by the system's name; higher = more bona fide."""
    asv: AsvScores | None = None
    costs_2021: Mapping[str, Coefficients] = field(default_factory=dict)
    """Coefficients of the t-DCF of 2021 by condition (`pooled`, `A07`, `alaw`, …), as ASVspoof 2021 gave them."""
    derived: Collection[str] = ()
    """Systems that were made from others (calibrated, fused): warnings are about the originals."""
    notes: tuple[str, ...] = ()
    """How the derived ones were made."""


@dataclass(frozen=True)
class Uncertainty:
    """How intervals and tests are made; no replicates, no intervals."""

    replicates: int = 1000
    level: float = 0.95
    clusters: tuple[str, ...] = ()
    """Columns whose values are drawn as a whole (`speaker`, `attack`); none: trials one by one."""
    seed: int = 0


FEW_REPLICATES = 100
"""With fewer, the paired test's smallest p-value, 2 in (replicates + 1), is near 0.05 or above."""

BY_TRIAL = Uncertainty()


@dataclass(frozen=True)
class Figure:
    """One number of a table. Rates are fractions."""

    value: float | None
    """None where the measure is not defined; the comparison's notes say why."""
    low: float | None = None
    high: float | None = None
    """Ends of its confidence interval; None where none was asked for."""
    best: bool = False
    """No other system of the table has a smaller value."""
    p_value: float | None = None
    """Of the paired test against the best system, corrected for the number of systems; None for the best itself."""


@dataclass(frozen=True)
class Table:
    """Systems × measures on one group of trials."""

    n_bonafide: int
    n_spoof: int
    figures: Mapping[str, Mapping[str, Figure]]
    """`figures[system][measure]`; measures are named as in MEASURES."""


@dataclass(frozen=True)
class Comparison:
    """All that is said of the systems on one test set."""

    test_set: str
    measures: tuple[str, ...]
    """Columns of every table, named as in MEASURES (metrics/measures.py), which has their titles."""
    pooled: Table
    by: Mapping[str, Mapping[str, Table]] = field(default_factory=dict)
    """`by["attack"]["A07"]`: the tables of the groups of each column that was asked for, groups in order."""
    warnings: tuple[str, ...] = ()
    """Sentences about traps that the scores may have fallen into; never to be left out."""
    notes: tuple[str, ...] = ()
    """Sentences on how the figures were made: intervals, costs, what is not defined and why."""


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the trials: all of them (`pooled`), or those with one `value` in one `column`."""

    column: str
    value: str
    members: NDArray[np.bool_]
    """Which trials [N]."""


def groups_of(trials: TrialList, by: Sequence[str]) -> tuple[list[Group], list[str]]:
    """All trials, then the groups of each column in `by`; and notes on groups that lack a class and are left out.

    A bona fide trial whose value is not known (no attack, no vocoder) counts with every group of that column.

    Raises:
        ScoreError: a column that the trials do not have, or no value in it.
    """
    groups, notes = [Group(POOLED, POOLED, np.ones(trials.is_bonafide.size, dtype=bool))], []
    for column in by:
        values = _column(trials, column)
        shared = trials.is_bonafide & (values == UNKNOWN)
        found = [
            Group(column, str(value), (values == value) | shared) for value in np.unique(values[values != UNKNOWN])
        ]
        whole = [group for group in found if len(set(trials.is_bonafide[group.members].tolist())) == 2]
        groups += whole
        if not whole:
            raise ScoreError(f"no group by {column} has both bona fide and spoof trials; expected at least one")
        if len(whole) < len(found):
            lacking = [group.value for group in found if group not in whole]
            first = ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")
            notes.append(f"By {column}: {len(lacking)} of {len(found)} groups lack a class and are left out ({first}).")
    return groups, notes


def compare(
    evaluated: EvaluationSet,
    measures: Sequence[str],
    by: Sequence[str] = (),
    uncertainty: Uncertainty = BY_TRIAL,
    advance: Callable[[int], object] = lambda n: None,
) -> Comparison:
    """Judge all systems by all `measures` (of MEASURES), on all trials and on the groups of each column in `by`.

    Args:
        advance: called with 1 after each replicate, `replicates` times for each of the `groups_of` the trials.

    Raises:
        ScoreError: a column that the trials do not have, ASV scores that lack an attack or allow no t-DCF, clusters
            that cannot be drawn from.
    """
    groups, notes = groups_of(evaluated.trials, by)
    tables: dict[str, dict[str, Table]] = {}
    for group in groups:
        tandem = tandem_behind(evaluated, group, with_curve="t_eer" in measures)
        judge = _Judge(evaluated, group, tandem, measures)
        try:
            table = judge.table(uncertainty, advance)
        except ClusterError as error:
            if group.column == POOLED:
                raise
            table = judge.table(replace(uncertainty, replicates=0), advance)
            notes.append(f"No intervals for {group.value}: {error}.")
            advance(uncertainty.replicates)
        tables.setdefault(group.column, {})[group.value] = table
    pooled = tables.pop(POOLED)[POOLED]
    notes = [*_how_made(evaluated, measures, by, uncertainty), *notes, *_undefined(measures, pooled, tables)]
    warnings = _warnings(evaluated, measures)
    return Comparison(evaluated.name, tuple(measures), pooled, tables, tuple(warnings), tuple(notes))


def tandem_behind(evaluated: EvaluationSet, group: Group, with_curve: bool = True) -> Tandem:
    """What the ASV system does to the group's spoofs: to those of one attack where it is one, otherwise to all.

    The ASV threshold is that of the EER between target and nontarget trials, the same for every group.

    Raises:
        ScoreError: the ASV scores lack the attack, or allow no t-DCF.
    """
    given, asv = evaluated.costs_2021.get(group.value), evaluated.asv
    if asv is None:
        return Tandem(tdcf_2021=given)
    spoof = asv.spoof
    if group.column == "attack":
        spoof = spoof[np.array(asv.spoof_attacks) == group.value]
        if not spoof.size:
            raise ScoreError(f"the ASV scores have no trials of attack {group.value}; expected those of every attack")
    curve = verification_curve(asv.target, asv.nontarget, spoof) if with_curve else None
    rates = asv_error_rates(asv.target, asv.nontarget, spoof, equal_error_rate(asv.target, asv.nontarget).threshold)
    if rates.p_miss_spoof == 1:  # no spoof deceives the ASV system: a countermeasure has nothing to save
        return Tandem(tdcf_2021=given, curve=curve)
    return Tandem(coefficients_2019(rates), given or coefficients_2021(rates), curve)


class _Judge:
    """All systems on one group of trials."""

    def __init__(self, evaluated: EvaluationSet, group: Group, tandem: Tandem, measures: Sequence[str]) -> None:
        self._trials, self._group, self._tandem, self._measures = evaluated.trials, group, tandem, measures
        self._is_bonafide = evaluated.trials.is_bonafide[group.members]
        self._scores = [scores[group.members] for scores in evaluated.systems.values()]
        self._names = list(evaluated.systems)

    def table(self, uncertainty: Uncertainty, advance: Callable[[int], object]) -> Table:
        values = [self._values(scores[self._is_bonafide], scores[~self._is_bonafide]) for scores in self._scores]
        replicates = self._replicates(uncertainty, advance)
        columns = []
        for index, name in enumerate(self._measures):
            column = [of_system[index] for of_system in values]
            drawn = replicates[:, :, index] if replicates is not None and MEASURES[name].bootstrapped else None
            columns.append(figures_of(column, drawn, uncertainty.level))
        figures = {
            system: {name: column[number] for name, column in zip(self._measures, columns, strict=True)}
            for number, system in enumerate(self._names)
        }
        n_bonafide = int(np.count_nonzero(self._is_bonafide))
        return Table(n_bonafide, self._is_bonafide.size - n_bonafide, figures)

    def _values(self, bonafide: FloatArray, spoof: FloatArray, replicate: bool = False) -> list[float | None]:
        sample = Sample(bonafide, spoof)
        wanted = (MEASURES[name] for name in self._measures)
        return [None if replicate and not m.bootstrapped else m.of(sample, self._tandem) for m in wanted]

    def _replicates(self, uncertainty: Uncertainty, advance: Callable[[int], object]) -> FloatArray | None:
        """Figures [replicates, systems, measures], NaN where not defined; None where no interval is to be made."""
        if not uncertainty.replicates:
            return None
        clusters = {
            name: _column(self._trials, name)[self._group.members]
            for name in uncertainty.clusters
            if name != self._group.column
        }
        resampling = Resampling(np.where(self._is_bonafide, 0, 1), clusters)

        def statistic(bonafide: FloatArray, spoof: FloatArray) -> list[float]:
            return [np.nan if value is None else value for value in self._values(bonafide, spoof, replicate=True)]

        return bootstrap(self._scores, statistic, resampling, uncertainty.replicates, uncertainty.seed, advance)


def figures_of(values: Sequence[float | None], drawn: FloatArray | None, level: float) -> list[Figure]:
    """One measure of all systems; `drawn` holds its replicates [replicates, systems]."""
    if any(value is None for value in values):
        return [Figure(None) for _ in values]
    lowest = min(value for value in values if value is not None)
    figures = [Figure(value, best=value == lowest and len(values) > 1) for value in values]
    if drawn is None:
        return figures
    best = values.index(lowest)
    others = [number for number, figure in enumerate(figures) if len(values) > 1 and not figure.best]
    p_values = holm([paired_p_value(drawn[:, number] - drawn[:, best]) for number in others])
    corrected = dict(zip(others, p_values, strict=True))
    intervals = [percentile_interval(drawn[:, number], level) for number in range(len(values))]
    return [
        replace(figure, low=interval.low, high=interval.high, p_value=corrected.get(number))
        for number, (figure, interval) in enumerate(zip(figures, intervals, strict=True))
    ]


def _column(trials: TrialList, name: str) -> NDArray[np.str_]:
    known = {column for column, values in trials.columns.items() if (values != UNKNOWN).any()}
    if name not in known:
        raise ScoreError(f"the trials have no column {name}; expected one of {', '.join(sorted(known)) or 'none'}")
    return trials.columns[name]


def _warnings(evaluated: EvaluationSet, measures: Sequence[str]) -> Iterator[str]:
    wants_llr = any(MEASURES[name].needs == "llr" for name in measures)
    for name, scores in evaluated.systems.items():
        if name in evaluated.derived:
            continue
        yield from warnings_of(name, scores, evaluated.trials.is_bonafide)
        yield from not_llr_warning(name, scores) if wants_llr else ()


def _how_made(
    evaluated: EvaluationSet, measures: Sequence[str], by: Sequence[str], uncertainty: Uncertainty
) -> Iterator[str]:
    """What a reader must know to make the figures again."""
    yield from evaluated.notes
    if uncertainty.replicates:
        yield _intervals_note(evaluated.trials, uncertainty)
    asv = evaluated.asv
    if asv is not None and any(MEASURES[name].needs == "tandem" for name in measures):
        eer = equal_error_rate(asv.target, asv.nontarget)
        rates = asv_error_rates(asv.target, asv.nontarget, asv.spoof, eer.threshold)
        yield (
            f"ASV system: EER {100 * eer.rate:.4f} % between {asv.target.size:,} target and {asv.nontarget.size:,} "
            f"nontarget trials; at its threshold {eer.threshold:.7g} it accepts {1 - rates.p_miss_spoof:.2%} of "
            f"{asv.spoof.size:,} spoof trials."
        )
        others = [column for column in by if column != "attack"]
        if others:
            yield f"t-DCF and t-EER by {' and '.join(others)} use the ASV system's error rates on all its trials."


def _intervals_note(trials: TrialList, uncertainty: Uncertainty) -> str:
    how = "drawing trials one by one within each class"
    if uncertainty.clusters:
        sizes = {name: len(set(_column(trials, name).tolist()) - {UNKNOWN}) for name in uncertainty.clusters}
        how = "drawing whole " + " and ".join(f"{name}s ({size})" for name, size in sizes.items())
        if min(sizes.values()) < FEW_CLUSTERS:
            how += ", which are few: the intervals are rough"
    if uncertainty.replicates < FEW_REPLICATES:
        how += " (too few replicates for a difference to be significant)"
    return (
        f"Intervals: {uncertainty.level:.0%} percentile bootstrap, {uncertainty.replicates:,} replicates, {how}; "
        "differences from the best system: paired bootstrap test on the same draws, Holm's correction."
    )


def _undefined(measures: Sequence[str], pooled: Table, by: Mapping[str, Mapping[str, Table]]) -> Iterator[str]:
    """Where a measure has no value: a sentence for each measure."""
    named = {"all trials": pooled, **{value: table for tables in by.values() for value, table in tables.items()}}
    for measure in measures:
        empty = [
            name
            for name, table in named.items()
            if any(figures[measure].value is None for figures in table.figures.values())
        ]
        if empty:
            where = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
            yield (
                f"{MEASURES[measure].title} is not defined for {where}: no costs are known there, or the ASV system "
                "rejects every spoof by itself."
            )
