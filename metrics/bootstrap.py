"""Bootstrap confidence intervals, and a paired test between systems that scored the same trials.

Each replicate draws trials with replacement and judges all systems on the same draw. The trials of one speaker, or of
one attack, are not independent of each other: if they are drawn one by one, the intervals become too narrow. Therefore
whole speakers or attacks can be drawn instead.

Efron and Tibshirani, "An introduction to the bootstrap", 1993 (percentile interval: chapter 13);
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
"""Largest number of times that clusters are drawn again because a draw has trials of one class only."""

Statistic = Callable[..., Sequence[float]]
"""A function that takes the scores of each class (in the order of the class numbers, each array in ascending order) and
returns M figures."""


class ClusterError(ScoreError):
    """The clusters do not allow a bootstrap."""


class Interval(NamedTuple):
    """The two ends of a confidence interval."""

    low: float
    high: float


class Resampling:
    """The way in which a replicate draws N trials: it decides how many copies of each trial there are.

    Args:
        classes: class number of each trial [N], from 0.
        clusters: the cluster of each trial [N] for every kind of cluster (such as `speaker`), `-` where a trial
            belongs to none. With several kinds, the number of copies of a trial is the product of the numbers of
            copies of its clusters. Trials that belong to no cluster are drawn one by one within their class.

    Raises:
        ClusterError: all trials of a class belong to a single cluster.
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
        """Draw the number of copies of each trial [N], so that every class has at least one trial.

        Raises:
            ClusterError: MOST_DRAWS draws in a row lacked a class.
        """
        for _ in range(MOST_DRAWS):
            copies = np.ones(self.classes.size, dtype=np.int64)
            for n_groups, codes, known in self._kinds:
                copies[known] *= _copies(n_groups, rng)[codes]
            for trials in self._alone:
                copies[trials] = _copies(trials.size, rng)
            if np.bincount(self.classes, weights=copies).all():
                return copies
        raise ClusterError(
            f"{MOST_DRAWS} draws of clusters in a row lacked a class; expected clusters that contain all classes"
        )


def bootstrap(
    systems: Sequence[FloatArray],
    statistic: Statistic | Sequence[Statistic],
    resampling: Resampling,
    replicates: int,
    seed: int = 0,
    advance: Callable[[int], object] = lambda n: None,
) -> FloatArray:
    """Compute the figures of every system on every replicate [replicates, systems, M].

    All systems are judged on the same draws, so that differences between them can be tested. The scores are sorted
    only once: a replicate repeats each score as often as its trial was drawn, which keeps the order.

    Args:
        systems: the scores [N] of each system, in the order of the trials.
        statistic: computes the M figures of one system; or one such function for each system.
        resampling: the way in which trials are drawn.
        replicates: the number of replicates.
        seed: the random seed; each replicate's draw depends on it and on the replicate's number only.
        advance: is called with 1 after each replicate.

    Raises:
        ClusterError: draws of clusters lack a class again and again.
    """
    sorted_once = [_Sorted(scores, resampling.classes) for scores in systems]
    statistics = [statistic] * len(systems) if callable(statistic) else statistic

    def replicate(number: int) -> list[Sequence[float]]:
        copies = resampling.draw(np.random.default_rng((seed, number)))  # the same whichever thread comes first
        figures = [of(*each.repeated(copies)) for of, each in zip(statistics, sorted_once, strict=True)]
        advance(1)
        return figures

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy sorts and sums outside Python's lock
        futures = [threads.submit(replicate, number) for number in range(replicates)]
        try:
            return np.array([future.result() for future in futures], dtype=np.float64)
        finally:
            threads.shutdown(cancel_futures=True)  # after Ctrl-C or an error, do not compute the rest


def percentile_interval(values: FloatArray, level: float = 0.95) -> Interval:
    """The percentile interval: the ends of the middle share `level` of the replicates' figures [replicates].

    Efron and Tibshirani 1993, chapter 13.
    """
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def paired_p_value(differences: FloatArray) -> float:
    """The two-sided p-value of "both systems are equally good", from the replicates' differences [replicates].

    It is twice the smaller share of replicates on either side of 0. The observed sample counts as one more replicate on
    that side, so that the p-value is never 0.

    >>> paired_p_value(np.array([1.0, 2.0, 3.0]))
    0.5
    """
    n = differences.size
    smaller = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (smaller + 1) / (n + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for the number of tests.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


class _Sorted:
    """The scores of one system, class by class, in ascending order."""

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
            raise ClusterError(f"all trials of a class have the {name} {groups.pop()}; expected two or more of them")
