"""The results of an evaluation: figures with their uncertainty, tables of them, and the comparison of systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spoofcache.evaluation.measures import Outcome
from spoofcache.metrics.bootstrap import holm, paired_p_value, percentile_interval
from spoofcache.metrics.decision import Confusion
from spoofcache.metrics.det import FloatArray
from spoofcache.metrics.tdcf import AsvErrorRates

SIGNIFICANT = 0.05
"""A system whose p-value is at least this is reported as not differing from the best."""


@dataclass(frozen=True)
class Uncertainty:
    """How intervals and tests are computed; with 0 replicates there are none."""

    replicates: int = 1000
    level: float = 0.95
    clusters: tuple[str, ...] = ()
    """Columns whose values are drawn as a whole (`speaker`, `attack`); if empty, trials are drawn one by one."""
    seed: int = 0


BY_TRIAL = Uncertainty()
NO_INTERVALS = Uncertainty(replicates=0)


@dataclass(frozen=True)
class Figure:
    """One number of a table. Rates are fractions."""

    value: float | None
    """None where the measure is not defined; the comparison's notes state why."""
    low: float | None = None
    high: float | None = None
    """Ends of the confidence interval; None if no interval was computed."""
    best: bool = False
    """No other system of the table has a smaller value."""
    p_value: float | None = None
    """p-value of the paired test against the best system, corrected for the number of systems; None for the best system
    itself, and if there are too few replicates for any difference to be significant."""
    threshold: float | None = None
    """The score at which the value is reached; None for a measure that needs no threshold, and for a mean of runs."""


@dataclass(frozen=True)
class Table:
    """Systems × measures on one group of trials."""

    n_bonafide: int
    n_spoof: int
    figures: Mapping[str, Mapping[str, Figure]]
    """`figures[system][measure]`; measures are named as in MEASURES."""
    asv: AsvErrorRates | None = None
    """Error rates of the ASV system on these spoofs; None without ASV scores."""
    decided: Mapping[str, Confusion] = field(default_factory=dict)
    """What the threshold that a run knows makes of the trials, for systems that are such runs."""


@dataclass(frozen=True)
class Comparison:
    """Everything that is reported about the systems on one test set."""

    test_set: str
    measures: tuple[str, ...]
    """Columns of every table, named as in MEASURES (evaluation/measures.py), which has their titles."""
    pooled: Table
    by: Mapping[str, Mapping[str, Table]] = field(default_factory=dict)
    """`by["attack"]["A07"]`: the tables of the groups of each requested column, with the groups in order."""
    warnings: tuple[str, ...] = ()
    """Sentences on what makes the scores doubtful; every output must contain them."""
    notes: tuple[str, ...] = ()
    """Sentences on how the figures were computed: intervals, costs, and what is undefined and why."""


def figures_of(outcomes: Sequence[Outcome | None], drawn: FloatArray | None, level: float) -> list[Figure]:
    """Combine the outcomes of one measure for all systems with its replicates `drawn` [replicates, systems]."""
    known = [outcome for outcome in outcomes if outcome is not None]
    if len(known) < len(outcomes):
        return [Figure(None) for _ in outcomes]
    values = [outcome.value for outcome in known]
    lowest = min(values)
    figures = [
        Figure(value, best=value == lowest and len(values) > 1, threshold=threshold) for value, threshold in known
    ]
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
    """Whether the smallest possible p-value, 2 / (replicates + 1) times Holm's factor, is below SIGNIFICANT."""
    return 2 * (n_systems - 1) / (replicates + 1) < SIGNIFICANT
