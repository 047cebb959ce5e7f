"""One logistic regression: how it is fitted, and how the strength of its regularisation is chosen on train."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.dcf import cllr
from spoofcache.metrics.det import FloatArray
from spoofcache.metrics.scores import UNKNOWN

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""The inverse strengths C of the regularisation that are tried, from the strongest on."""
FOLDS = 5
MOST_STEPS = 1_000
GROUPINGS = ("speaker", "attack")
"""Columns by which utterances are grouped for the cross-validation, the preferred one first."""

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The utterances to fit on, and those to judge."""


class Probe(NamedTuple):
    """A logistic regression on standardised statistics: score = offset + Σ weights·(statistic − mean)/scale."""

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    offset: float

    def score(self, statistics: FloatArray) -> FloatArray:
        """The log-likelihood ratios [N] of statistics [N, D]; higher means more bona fide."""
        weights = self.weights / self.scale
        scores: FloatArray = statistics @ weights + (self.offset - self.mean @ weights)
        return scores


def fit_probe(statistics: FloatArray, is_bonafide: NDArray[np.bool_], c: float) -> Probe:
    """Fit a probe on statistics [N, D] and keys [N]; `c` is the inverse strength of its L2 regularisation.

    The statistics are standardised with mean and deviation of these N utterances. Both classes have the same weight.
    """
    return next(_path(statistics, is_bonafide, (c,)))


def _path(statistics: FloatArray, is_bonafide: NDArray[np.bool_], grid: Sequence[float]) -> Iterator[Probe]:
    """The probes for ascending values of C; each fit begins where the one before has ended."""
    from sklearn.exceptions import ConvergenceWarning  # here, not above: importing scikit-learn takes a second
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    standardised = scaler.fit_transform(statistics)
    model = LogisticRegression(class_weight="balanced", max_iter=MOST_STEPS, warm_start=True)
    for c in grid:
        with warnings.catch_warnings():  # after so many steps, the scores hardly move
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=c).fit(standardised, is_bonafide)
        yield Probe(scaler.mean_, scaler.scale_, model.coef_[0].copy(), float(model.intercept_[0]))


def choose_c(
    statistics: FloatArray,
    is_bonafide: NDArray[np.bool_],
    folds: Sequence[Fold],
    advance: Callable[[int], object] = lambda n: None,
) -> float:
    """The value of GRID with the smallest Cllr of the scores that utterances [N] get while they are not fitted on.

    Cllr is the cross-entropy with equal weight for both classes (Brümmer and du Preez, "Application-independent
    evaluation of speaker detection", 2006). `advance` is called with 1 after each fit.
    """
    scores = np.full((len(GRID), len(is_bonafide)), np.nan)
    for fitted, judged in folds:
        for number, probe in enumerate(_path(statistics[fitted], is_bonafide[fitted], GRID)):
            scores[number, judged] = probe.score(statistics[judged])
            advance(1)
    known = ~np.isnan(scores[0])
    bonafide, spoof = known & is_bonafide, known & ~is_bonafide
    costs = [cllr(of_c[bonafide], of_c[spoof]) for of_c in scores]
    return GRID[int(np.argmin(costs))]


class Folds(NamedTuple):
    """The folds of a cross-validation, and the column whose values stay together in them; empty for none."""

    folds: list[Fold]
    by: str


def make_folds(trials: TrialList, seed: int) -> Folds:
    """Divide trials into folds that share no speaker or, if the speakers are not known, no attack.

    Where neither is known for at least two groups of each class, the folds are stratified by class alone. Utterances
    without a known value are a group each.
    """
    for name in GROUPINGS:
        if name in trials.columns and _grouped_enough(trials.is_bonafide, trials.columns[name], name):
            folds = _folds(trials.is_bonafide, _groups(trials.columns[name]), seed)
            if len(folds) >= 2:
                return Folds(folds, name)
    return Folds(_folds(trials.is_bonafide, np.arange(trials.is_bonafide.size), seed), "")


def _grouped_enough(is_bonafide: NDArray[np.bool_], values: NDArray[np.str_], name: str) -> bool:
    """Whether at least two values are known in the classes that have them: attacks in spoof, speakers in both."""
    classes = (~is_bonafide,) if name == "attack" else (is_bonafide, ~is_bonafide)
    return all(len(set(values[of_class].tolist()) - {UNKNOWN}) >= 2 for of_class in classes)


def _groups(values: NDArray[np.str_]) -> NDArray[np.int64]:
    """The number of each trial's group; a trial without a value has a group of its own."""
    groups = np.unique(values, return_inverse=True)[1].astype(np.int64)
    alone = values == UNKNOWN
    groups[alone] = groups.max() + 1 + np.arange(np.count_nonzero(alone))
    return groups


def _folds(is_bonafide: NDArray[np.bool_], groups: NDArray[np.int64], seed: int) -> list[Fold]:
    """At most FOLDS folds that keep groups together; only those whose other utterances have both classes."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_groups = min(len(np.unique(groups[is_bonafide])), len(np.unique(groups[~is_bonafide])))
    if n_groups < 2:
        return []
    splitter = StratifiedGroupKFold(min(FOLDS, n_groups), shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of classes with fewer utterances than folds; such folds are left out below
        warnings.simplefilter("ignore", UserWarning)
        folds = list(splitter.split(np.zeros(len(groups)), is_bonafide, groups))
    return [fold for fold in folds if len(set(is_bonafide[fold[0]].tolist())) == 2]
