"""The matrix of training sets × test sets: a table for each measure, with a row for each experiment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

import numpy as np

from spoofcache.common.spreadsheets import csv_text
from spoofcache.evaluation.figures import Comparison, Figure
from spoofcache.evaluation.grids import Grid, Row, cell_of, title_of
from spoofcache.evaluation.latex import grids_as_latex
from spoofcache.evaluation.measures import MEASURES
from spoofcache.evaluation.tables import grids_as_text

MEAN = "mean over test sets"
COIN = {"eer": 0.5}
"""The values that measures have for random scores. It is 1 for all others, which are normalised or in bits."""
CSV_HEADER = (
    *("system", "trained_on", "seeds", "test_set", "n_bonafide", "n_spoof", "measure"),
    *("value", "low", "high", "best", "p_value", "threshold", "warnings"),
)


@dataclass(frozen=True)
class Experiment:
    """A row of the matrix: a network, and what it was trained on."""

    name: str
    trained_on: tuple[str, ...]
    """`corpus/partition` of each training set; empty if it is unknown."""
    systems: tuple[str, ...]
    """The runs of the experiment, one for each seed, by their names in the comparisons."""

    @property
    def label(self) -> str:
        """The heading of the row, such as `lcnn (asvspoof19_la/train, 3 seeds)`."""
        seeds = [f"{len(self.systems)} seeds"] if len(self.systems) > 1 else []
        return f"{self.name} ({', '.join([*(self.trained_on or ['training set unknown']), *seeds])})"


@dataclass(frozen=True)
class Matrix:
    """Experiments × test sets."""

    experiments: tuple[Experiment, ...]
    comparisons: tuple[Comparison, ...]
    """The comparisons of the single runs, test set by test set."""
    columns: Mapping[str, Mapping[str, tuple[Figure, ...]]]
    """`columns[test set][measure]`: a figure for each experiment. With several test sets the last column is MEAN."""
    notes: tuple[str, ...]
    """Sentences on how the figures were made."""

    @property
    def warnings(self) -> list[str]:
        """The warnings of all test sets, each beginning with the name of its test set."""
        return [
            f"{one.test_set}: {warning.removeprefix(f'{one.test_set}: ')}"
            for one in self.comparisons
            for warning in one.warnings
        ]


def matrix_of(experiments: Sequence[Experiment], comparisons: Sequence[Comparison], level: float) -> Matrix:
    """Combine comparisons of the same runs by the same measures, one for each test set.

    An experiment of one run keeps its figures and their intervals. An experiment of n seeds has the mean of its runs
    with Student's t-interval of that `level` and n - 1 degrees of freedom, which states how much another training would
    differ, not how much other trials would. The interval ends at 0 and at the largest value of the measure. The mean
    over test sets is computed for each run; every test set has the same weight.
    """
    measures = comparisons[0].measures
    systems = [experiment.systems for experiment in experiments]
    columns: dict[str, Mapping[str, tuple[Figure, ...]]] = {}
    for one in comparisons:
        figures = one.pooled.figures
        columns[one.test_set] = {
            name: _column([[figures[run][name] for run in runs] for runs in systems], level, name) for name in measures
        }
    if len(comparisons) > 1:
        columns[MEAN] = {
            name: _column([[_mean(comparisons, run, name) for run in runs] for runs in systems], level, name)
            for name in measures
        }
    return Matrix(tuple(experiments), tuple(comparisons), columns, tuple(_notes(experiments, comparisons, level)))


def grids(matrix: Matrix) -> list[Grid]:
    """Format the matrix as a table for each measure, with the heat of every cell."""
    labels = [experiment.label for experiment in matrix.experiments]
    made = []
    for measure in matrix.comparisons[0].measures:
        figures = [column[measure] for column in matrix.columns.values()]
        cells = [[cell_of(figure, measure)._replace(heat=heat(figure, measure)) for figure in of] for of in figures]
        rows = [Row(label, (), [column[number] for column in cells]) for number, label in enumerate(labels)]
        title = f"{title_of(measure)}, train set × test set"
        made.append(Grid(title, "system (trained on)", (), list(matrix.columns), rows))
    return made


def heat(figure: Figure, measure: str) -> float | None:
    """How bad a figure is: 0 if perfect, 1 at chance or worse; a square-root scale separates small figures."""
    return None if figure.value is None else min(figure.value / COIN.get(measure, 1.0), 1.0) ** 0.5


def as_text(matrix: Matrix) -> str:
    """Format the matrix as aligned plain text, with the notes and warnings of all test sets."""
    return grids_as_text(grids(matrix), matrix.notes, matrix.warnings)


def as_latex(matrix: Matrix) -> str:
    """Format the matrix as tables in LaTeX with booktabs."""
    return grids_as_latex(grids(matrix), matrix.notes, matrix.warnings)


def as_csv(matrix: Matrix) -> str:
    """Format every figure as a line of CSV, in full precision, with rates as fractions and the test set's warnings."""
    return csv_text(CSV_HEADER, _csv_rows(matrix))


def _csv_rows(matrix: Matrix) -> Iterator[tuple[object, ...]]:
    tests = {one.test_set: one for one in matrix.comparisons}
    for number, experiment in enumerate(matrix.experiments):
        head = (experiment.name, " ".join(experiment.trained_on), len(experiment.systems))
        for test, column in matrix.columns.items():
            one = tests.get(test)
            counts = (one.pooled.n_bonafide, one.pooled.n_spoof) if one else ("", "")
            warnings = " | ".join(one.warnings if one else matrix.warnings)
            for measure, figures in column.items():
                yield *head, test, *counts, measure, *asdict(figures[number]).values(), warnings


def as_record(matrix: Matrix) -> list[dict[str, Any]]:
    """The rows of the matrix in plain names and types for JSON."""
    return [
        {
            **asdict(experiment),
            "figures": {
                test: {measure: asdict(figures[number]) for measure, figures in column.items()}
                for test, column in matrix.columns.items()
            },
        }
        for number, experiment in enumerate(matrix.experiments)
    ]


def _column(runs: Sequence[Sequence[Figure]], level: float, measure: str) -> tuple[Figure, ...]:
    """The figure of each experiment, from those of its runs."""
    figures = [over_seeds(of_one, level, MEASURES[measure].largest) for of_one in runs]
    lowest = min((figure.value for figure in figures if figure.value is not None), default=None)
    single = all(len(of_one) == 1 for of_one in runs)  # else the tests were between runs, not between rows
    return tuple(
        replace(
            figure,
            best=len(figures) > 1 and figure.value is not None and figure.value == lowest,
            p_value=figure.p_value if single else None,
        )
        for figure in figures
    )


def over_seeds(runs: Sequence[Figure], level: float, largest: float = inf) -> Figure:
    """The mean over several runs, with Student's t-interval of that `level` between 0 and `largest`.

    The figure of a single run is returned as it is. If a run has no value, the mean is undefined.
    """
    from scipy.special import stdtrit  # here, not above: `--help` must not wait for it

    if len(runs) == 1:
        return runs[0]
    values = [figure.value for figure in runs if figure.value is not None]
    if len(values) < len(runs):
        return Figure(None)
    mean, n = float(np.mean(values)), len(values)
    half = float(stdtrit(n - 1, (1 + level) / 2) * np.std(values, ddof=1) / n**0.5)
    return Figure(mean, max(mean - half, 0.0), min(mean + half, largest))


def _mean(comparisons: Sequence[Comparison], run: str, measure: str) -> Figure:
    values = [one.pooled.figures[run][measure].value for one in comparisons]
    known = [value for value in values if value is not None]
    return Figure(float(np.mean(known)) if len(known) == len(values) else None)


def _notes(experiments: Sequence[Experiment], comparisons: Sequence[Comparison], level: float) -> Iterator[str]:
    several = [experiment for experiment in experiments if len(experiment.systems) > 1]
    if several:
        yield (
            f"Rows of several seeds: the mean over their runs, with Student's t-interval ({level:.0%}) over them. They "
            "state how much another training would differ, not how much other trials would. Differences are tested "
            "between the single runs of a test set, not between rows of several seeds."
        )
    if len(comparisons) > 1:
        yield f"{MEAN.capitalize()}: every test set counts once, however large, and whether or not it shares trials."
    yield from dict.fromkeys(note for one in comparisons for note in one.notes)
    yield from (f"{e.name}: {len(e.systems)} runs, {', '.join(e.systems)}." for e in several)
