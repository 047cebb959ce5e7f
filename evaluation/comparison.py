"""Systems × measures on one test set: every figure with its interval, the best system, what differs by chance only."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spoofcache.evaluation.checks import SIGN_WARNING, not_llr_warning, warnings_of
from spoofcache.evaluation.measures import MEASURES, Sample, Tandem
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.bootstrap import ClusterError, Resampling, bootstrap, holm, paired_p_value, percentile_interval
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.det import FloatArray, ScoreError, equal_error_rate, verification_curve
from spoofcache.metrics.scores import UNKNOWN, AsvScores
from spoofcache.metrics.tdcf import asv_error_rates, coefficients_2019, coefficients_2021

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
    """Systems that were made from others (calibrated, fused): but for the sign, warnings are about the originals."""
    notes: tuple[str, ...] = ()
    """Where everything came from, and how the derived systems were made."""
    warnings: tuple[str, ...] = ()
    """What could not be checked about all this."""


@dataclass(frozen=True)
class Uncertainty:
    """How intervals and tests are made; no replicates, no intervals."""

    replicates: int = 1000
    level: float = 0.95
    clusters: tuple[str, ...] = ()
    """Columns whose values are drawn as a whole (`speaker`, `attack`); none: trials one by one."""
    seed: int = 0


SIGNIFICANT = 0.05
"""From this p-value on a system is said not to differ from the best."""
FEW_TRIALS = 20
"""With fewer trials in a class one trial moves its error rate by more than 5 %."""

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
    """Of the paired test against the best system, corrected for the number of systems; None for the best itself, and
    where the replicates are too few for any difference to be significant."""


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

    In a column that no bona fide trial has a value in (attack, vocoder) all of them count with every group. Where some
    have one, each counts with its own group only.

    Raises:
        ScoreError: a column that the trials do not have, or no value in it.
    """
    groups, notes = [Group(POOLED, POOLED, np.ones(trials.is_bonafide.size, dtype=bool))], []
    for column in by:
        values = _column(trials, column)
        unknown = values == UNKNOWN
        shared = trials.is_bonafide & unknown & unknown[trials.is_bonafide].all()
        found = [
            Group(column, str(value), (values == value) | shared) for value in np.unique(values[values != UNKNOWN])
        ]
        left_out = int(np.count_nonzero(unknown & ~shared))
        if left_out:
            notes.append(f"By {column}: {left_out:,} trials have no {column} and are in none of the groups.")
        whole = [group for group in found if len(set(trials.is_bonafide[group.members].tolist())) == 2]
        groups += whole
        if not whole:
            raise ScoreError(f"no group by {column} has both bona fide and spoof trials; expected at least one")
        if len(whole) < len(found):
            lacking = [group.value for group in found if group not in whole]
            notes.append(
                f"By {column}: {len(lacking)} of {len(found)} groups lack a class and are left out ({_first(lacking)})."
            )
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
    without_intervals: dict[str, list[str]] = {}
    _check_costs(evaluated, groups)
    for group in groups:
        tandem = tandem_behind(evaluated, group, measures)
        judge = _Judge(evaluated, group, tandem, measures)
        try:
            table = judge.table(uncertainty, advance)
        except ClusterError as error:
            if group.column == POOLED:
                raise
            table = judge.table(replace(uncertainty, replicates=0), advance)
            without_intervals.setdefault(str(error), []).append(group.value)
            advance(uncertainty.replicates)
        tables.setdefault(group.column, {})[group.value] = table
    pooled = tables.pop(POOLED)[POOLED]
    notes += [f"No intervals for {_first(names)}: {error}." for error, names in without_intervals.items()]
    notes = [*_how_made(evaluated, measures, by, uncertainty), *notes, *_undefined(measures, pooled, tables)]
    warnings = _warnings(evaluated, measures)
    return Comparison(evaluated.name, tuple(measures), pooled, tables, tuple(warnings), tuple(notes))


def tandem_behind(evaluated: EvaluationSet, group: Group, measures: Sequence[str]) -> Tandem:
    """What the ASV system does to the group's spoofs, as far as the `measures` need it.

    Of the ASV system's spoof trials those of the group's attacks count; all of them, where the group has spoofs of
    unknown attack. The ASV threshold is that of the EER between target and nontarget trials, the same for every group.

    Raises:
        ScoreError: the ASV scores lack an attack, or allow no t-DCF.
    """
    given, asv = evaluated.costs_2021.get(group.value), evaluated.asv
    if asv is None:
        return Tandem(tdcf_2021=given)
    spoof = _asv_spoof(asv, evaluated.trials, group)
    curve = verification_curve(asv.target, asv.nontarget, spoof) if "t_eer" in measures else None
    rates = asv_error_rates(asv.target, asv.nontarget, spoof, equal_error_rate(asv.target, asv.nontarget).threshold)
    if rates.p_miss_spoof == 1:  # no spoof deceives the ASV system: a countermeasure has nothing to save
        return Tandem(tdcf_2021=given, curve=curve)
    derived = None if evaluated.costs_2021 or "min_tdcf_2021" not in measures else coefficients_2021(rates)
    return Tandem(coefficients_2019(rates) if "min_tdcf_2019" in measures else None, given or derived, curve)


def _asv_spoof(asv: AsvScores, trials: TrialList, group: Group) -> FloatArray:
    attacks = set(trials.columns["attack"][group.members & ~trials.is_bonafide].tolist())
    known = set(asv.spoof_attacks)
    if UNKNOWN in attacks or attacks == known:
        return asv.spoof
    if not attacks <= known:
        missing = _first(sorted(attacks - known))
        raise ScoreError(f"the ASV scores have no trials of attack {missing}; expected those of every attack")
    return asv.spoof[np.isin(asv.spoof_attacks, sorted(attacks))]


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
    tested = can_be_significant(len(values), len(drawn))
    corrected = dict(zip(others, p_values, strict=True)) if tested else {}
    intervals = [percentile_interval(drawn[:, number], level) for number in range(len(values))]
    return [
        replace(figure, low=interval.low, high=interval.high, p_value=corrected.get(number))
        for number, (figure, interval) in enumerate(zip(figures, intervals, strict=True))
    ]


def can_be_significant(n_systems: int, replicates: int) -> bool:
    """Whether the smallest p-value there is, 2 in (replicates + 1) times Holm's factor, is below SIGNIFICANT."""
    return 2 * (n_systems - 1) / (replicates + 1) < SIGNIFICANT


def _first(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _column(trials: TrialList, name: str) -> NDArray[np.str_]:
    known = {column for column, values in trials.columns.items() if (values != UNKNOWN).any()}
    if name not in known:
        raise ScoreError(f"the trials have no column {name}; expected one of {', '.join(sorted(known)) or 'none'}")
    return trials.columns[name]


def _check_costs(evaluated: EvaluationSet, groups: Sequence[Group]) -> None:
    """Given coefficients belong to one group each."""
    values = [group.value for group in groups]
    for condition in evaluated.costs_2021:
        if values.count(condition) != 1:
            raise ScoreError(
                f"t-DCF coefficients of {condition}: {values.count(condition)} groups have that name; expected one of "
                f"{_first(values, 10)} (--by names the column)"
            )


def _warnings(evaluated: EvaluationSet, measures: Sequence[str]) -> Iterator[str]:
    yield from evaluated.warnings
    is_bonafide = evaluated.trials.is_bonafide
    for key, number in (("bona fide", np.count_nonzero(is_bonafide)), ("spoof", np.count_nonzero(~is_bonafide))):
        if number < FEW_TRIALS:
            yield f"{evaluated.name}: only {number} {key} trials; every figure hangs on each of them"
    wants_llr = any(MEASURES[name].needs == "llr" for name in measures)
    for name, scores in evaluated.systems.items():
        if name in evaluated.derived:
            turned = equal_error_rate(scores[is_bonafide], scores[~is_bonafide]).rate > 0.5
            yield from [f"{name}: {SIGN_WARNING}"] * turned
            continue
        yield from warnings_of(name, scores, is_bonafide)
        yield from not_llr_warning(name, scores) if wants_llr else ()
    if evaluated.asv and _uses_asv(measures):
        yield from _asv_warnings(evaluated.asv, evaluated.trials)


def _asv_warnings(asv: AsvScores, trials: TrialList) -> Iterator[str]:
    if equal_error_rate(asv.target, asv.nontarget).rate > 0.5:
        yield f"the ASV system: {SIGN_WARNING.replace('bona fide', 'target')}"
    if (trials.columns["attack"][~trials.is_bonafide] == UNKNOWN).any():
        yield "the trials do not name their attacks: whether the ASV scores are of the same corpus cannot be checked"


def _uses_asv(measures: Sequence[str]) -> bool:
    return any(MEASURES[name].needs == "tandem" for name in measures)


def _how_made(
    evaluated: EvaluationSet, measures: Sequence[str], by: Sequence[str], uncertainty: Uncertainty
) -> Iterator[str]:
    """What a reader must know to make the figures again."""
    yield from evaluated.notes
    if uncertainty.replicates:
        yield intervals_note(_how_drawn(evaluated.trials, by, uncertainty), uncertainty, len(evaluated.systems))
    if evaluated.asv and _uses_asv(measures):
        yield from _asv_notes(evaluated, by)
    if evaluated.costs_2021 and "min_tdcf_2021" in measures:
        yield f"min t-DCF (2021): coefficients were given for {_first(list(evaluated.costs_2021), 10)}."


def _asv_notes(evaluated: EvaluationSet, by: Sequence[str]) -> Iterator[str]:
    asv = evaluated.asv
    assert asv is not None
    (pooled,), _ = groups_of(evaluated.trials, [])
    spoof = _asv_spoof(asv, evaluated.trials, pooled)
    eer = equal_error_rate(asv.target, asv.nontarget)
    rates = asv_error_rates(asv.target, asv.nontarget, spoof, eer.threshold)
    yield (
        f"ASV system: EER {100 * eer.rate:.4f} % between {asv.target.size:,} target and {asv.nontarget.size:,} "
        f"nontarget trials; at its threshold {eer.threshold:.7g} it accepts {1 - rates.p_miss_spoof:.2%} of "
        f"{spoof.size:,} spoof trials of the attacks that are judged."
    )
    others = [column for column in by if column != "attack"]
    if others:
        yield f"t-DCF and t-EER by {' and '.join(others)}: ASV error rates are those of each group's attacks, no finer."


def _how_drawn(trials: TrialList, by: Sequence[str], uncertainty: Uncertainty) -> str:
    if not uncertainty.clusters:
        return "drawing trials one by one within each class"
    sizes = {name: len(set(_column(trials, name).tolist()) - {UNKNOWN}) for name in uncertainty.clusters}
    how = "drawing whole " + " and ".join(f"{name}s ({size})" for name, size in sizes.items())
    if min(sizes.values()) < FEW_CLUSTERS:
        how += ", which are few: the intervals are rough"
    both = [name for name in uncertainty.clusters if name in by]
    return how + "".join(f"; in the tables by {name} without regard to it" for name in both)


def intervals_note(how: str, uncertainty: Uncertainty, n_systems: int) -> str:
    """How the intervals and, with several systems, the tests were made."""
    note = (
        f"Intervals: {uncertainty.level:.0%} percentile bootstrap, {uncertainty.replicates:,} replicates (seed "
        f"{uncertainty.seed}), {how}."
    )
    if n_systems > 1 and can_be_significant(n_systems, uncertainty.replicates):
        note += (
            " Differences from the best system: paired bootstrap test on the same draws, with Holm's correction for "
            "the systems of one cell (not for the number of cells)."
        )
    elif n_systems > 1:
        note += f" No tests: with {n_systems} systems they need more than {round(2 * (n_systems - 1) / SIGNIFICANT)}."
    return note


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
            yield (
                f"{MEASURES[measure].title} is not defined for {_first(empty)}: no costs are known there, or the ASV "
                "system rejects every spoof by itself."
            )
