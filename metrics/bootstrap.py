"""How sure is a figure? Bootstrap confidence intervals, and a paired test between systems on the same trials.

A replicate draws trials with replacement and judges all systems on that same draw. Trials of one speaker, or of one
attack, are not independent: drawn one by one they give intervals that are too narrow, so whole speakers or attacks
can be drawn instead. Efron and Tibshirani, "An introduction to the bootstrap", 1993 (percentile interval: chapter 13);
several kinds of cluster at once: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import FloatArray, ScoreError
from spoofcache.metrics.scores import UNKNOWN

MOST_DRAWS = 100
"""Draws of clusters until one has both classes."""

Statistic = Callable[..., Sequence[float]]
"""Figures [M] of the scores of each class, in the order of the class numbers, each in ascending order."""


class ClusterError(ScoreError):
    """Clusters that cannot be drawn from."""


class Interval(NamedTuple):
    """Ends of a confidence interval."""

    low: float
    high: float


class Resampling:
    """How a replicate draws N trials: a number of copies for each.

    Args:
        classes: class number of each trial [N], from 0.
        clusters: kinds of cluster, by name: what each trial belongs to [N], `-` where it belongs to none. With
            several kinds a trial is copied the product of its clusters' numbers of times. Trials that belong to
            no cluster are drawn one by one, each class by itself.

    Raises:
        ClusterError: the trials of a class belong to a single cluster.
    """

    def __init__(self, classes: NDArray[np.int64], clusters: Mapping[str, NDArray[np.str_]]) -> None:
        self.classes = classes
        self._kinds: list[tuple[int, NDArray[np.int64], NDArray[np.bool_]]] = []
        alone = np.ones(classes.size, dtype=bool)
        for name, values in clusters.items():
            known = values != UNKNOWN
            _check_clusters(name, values, classes)
            groups, codes = np.unique(values[known], return_inverse=True)
            self._kinds.append((groups.size, codes, known))
            alone &= ~known
        self._alone = [np.flatnonzero(alone & (classes == number)) for number in range(classes.max() + 1)]

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Copies of each trial [N], at least one of each class."""
        for _ in range(MOST_DRAWS):
            copies = np.ones(self.classes.size, dtype=np.int64)
            for n_groups, codes, known in self._kinds:
                copies[known] *= _copies(n_groups, rng)[codes]
            for trials in self._alone:
                copies[trials] = _copies(trials.size, rng)
            if np.bincount(self.classes, weights=copies).all():
                return copies
        raise ClusterError(
            f"{MOST_DRAWS} draws of clusters in a row lack a class; expected clusters that have them all"
        )


def bootstrap(
    systems: Sequence[FloatArray],
    statistic: Statistic,
    resampling: Resampling,
    replicates: int,
    seed: int = 0,
    advance: Callable[[int], object] = lambda n: None,
) -> FloatArray:
    """Figures of every system on every replicate [replicates, systems, M].

    All systems see the same draws, so that differences between them can be tested. Scores are sorted once; a
    replicate repeats them, each as often as it was drawn, and so stays sorted.

    Args:
        systems: scores [N] of each system, all in the order of the trials.
        advance: called with 1 after each replicate.
    """
    sorted_once = [_Sorted(scores, resampling.classes) for scores in systems]

    def replicate(number: int) -> list[Sequence[float]]:
        copies = resampling.draw(np.random.default_rng((seed, number)))  # the same whichever thread comes first
        figures = [statistic(*each.repeated(copies)) for each in sorted_once]
        advance(1)
        return figures

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy sorts and sums outside Python's lock
        futures = [threads.submit(replicate, number) for number in range(replicates)]
        try:
            return np.array([future.result() for future in futures], dtype=np.float64)
        finally:
            threads.shutdown(cancel_futures=True)  # Ctrl-C, or an error: do not work off the rest


def percentile_interval(values: FloatArray, level: float = 0.95) -> Interval:
    """The middle share `level` of the replicates' figures [replicates]."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def paired_p_value(differences: FloatArray) -> float:
    """Two-sided p-value of "both systems are equally good", from the replicates' differences [replicates].

    Twice the smaller share of replicates on either side of 0, the observed sample counted in (so that it is never 0).

    >>> paired_p_value(np.array([1.0, 2.0, 3.0]))
    0.5
    """
    n = differences.size
    smaller = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (smaller + 1) / (n + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


class _Sorted:
    """Scores of one system in ascending order, class by class."""

    def __init__(self, scores: FloatArray, classes: NDArray[np.int64]) -> None:
        self._classes = []
        for number in range(classes.max() + 1):
            trials = np.flatnonzero(classes == number)
            order = trials[np.argsort(scores[trials], kind="stable")]
            self._classes.append((order, scores[order]))

    def repeated(self, copies: NDArray[np.int64]) -> list[FloatArray]:
        return [np.repeat(scores, copies[order]) for order, scores in self._classes]


def _copies(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each of n things is drawn in n draws with replacement [n]."""
    return np.bincount(rng.integers(n, size=n), minlength=n) if n else np.zeros(0, dtype=np.int64)


def _check_clusters(name: str, values: NDArray[np.str_], classes: NDArray[np.int64]) -> None:
    for number in range(classes.max() + 1):
        groups = set(values[classes == number].tolist())
        if len(groups) == 1 and groups != {UNKNOWN}:
            raise ClusterError(f"all trials of a class have the {name} {groups.pop()}; expected two or more to draw")
