"""Warnings about doubtful scores. No score is changed or omitted because of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import FloatArray, equal_error_rate

SIGN_WARNING = "an EER above 50 %: the sign of the scores may be inverted (higher must mean bona fide)"
EQUAL_WARNING = (
    "all scores are equal ({value:.7g}): they do not distinguish the classes, and the error rates depend only on how "
    "equal scores are counted"
)
FEW_VALUES = 100
"""With fewer distinct scores the steps of a DET curve are wider than 1 % on average, coarser than published EERs."""


def separation_warning(accept: FloatArray, reject: FloatArray) -> str:
    """A sentence where the scores of two classes, [N] and [M], do not separate them; empty where they do.

    Either all scores are equal, or the class to `reject` has the higher ones: an EER above 50 %.

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    eer = equal_error_rate(accept, reject).rate
    lowest = min(accept.min(), reject.min())
    if lowest == max(accept.max(), reject.max()):
        return EQUAL_WARNING.format(value=lowest + 0.0)  # never -0
    return SIGN_WARNING if eer > 0.5 else ""


def warnings_of(name: str, scores: FloatArray, is_bonafide: NDArray[np.bool_]) -> list[str]:
    """Sentences, each beginning with the system's `name`, on what makes N `scores` [N] doubtful.

    They report scores that are all equal, or else an EER above 50 %, decisions instead of scores, few distinct values,
    scores that both classes share where the order of equal scores decides the EER, and a saturated soft-max.

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    bonafide, spoof = scores[is_bonafide], scores[~is_bonafide]
    inseparable = separation_warning(bonafide, spoof)
    values, counts = _counted(scores)
    found = [inseparable] if inseparable else []
    if values.size > 1:
        found += [*_coarseness(values, counts), *_ties(bonafide, spoof)]
    return [f"{name}: {sentence}" for sentence in found]


def not_llr_warning(name: str, scores: FloatArray) -> list[str]:
    """Warn if all scores [N] lie in [0, 1], since the actual DCF and Cllr judge log-likelihood ratios."""
    if not _in_unit_interval(scores):
        return []
    return [
        f"{name}: all scores lie between 0 and 1 as probabilities do; actual DCF and Cllr are meant for "
        "log-likelihood ratios (write log-odds, or calibrate)"
    ]


def _coarseness(values: FloatArray, counts: NDArray[np.intp]) -> Iterator[str]:
    n_trials = int(counts.sum())
    if len(values) == 2 < n_trials:
        listed = " and ".join(f"{value:g}" for value in values)
        yield f"no other score than {listed} in {n_trials:,} trials: decisions, where an EER needs graded scores"
        return
    if len(values) < FEW_VALUES and n_trials >= 10 * len(values):
        yield f"only {len(values)} distinct scores in {n_trials:,} trials: the error rates move in coarse steps"
    at_ends = counts[(values == 0) | (values == 1)]
    if _in_unit_interval(values) and (at_ends > 1).any():
        yield f"{at_ends.sum():,} scores are exactly 0 or 1: a saturated soft-max makes ties; log-odds would not"


def _ties(bonafide: FloatArray, spoof: FloatArray) -> Iterator[str]:
    values, n_bonafide = _counted(bonafide)
    places = np.searchsorted(values, spoof).clip(max=values.size - 1)
    n_spoof = np.bincount(places[values[places] == spoof], minlength=values.size)
    shared = n_spoof > 0
    if not shared.any():
        return
    official = f"{100 * equal_error_rate(bonafide, spoof).rate:.4f} %"
    # with the classes swapped, spoof goes first among equal scores, and every rate is one minus what it was
    opposite = f"{100 - 100 * equal_error_rate(spoof, bonafide).rate:.4f} %"
    if official != opposite:  # other ties decide nothing
        yield (
            f"{n_bonafide[shared].sum():,} bona fide and {n_spoof.sum():,} spoof trials share scores with the other "
            f"class: EER {official} with bona fide first among equal scores (the official order), {opposite} with "
            "spoof first"
        )


def _counted(scores: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """The distinct scores in ascending order, and how many trials have each."""
    ascending = np.sort(scores, kind="stable")
    is_first = np.concatenate(([True], ascending[1:] != ascending[:-1]))
    return ascending[is_first], np.diff(np.flatnonzero(is_first), append=scores.size)


def _in_unit_interval(scores: FloatArray) -> bool:
    return bool(np.all((scores >= 0) & (scores <= 1)))
