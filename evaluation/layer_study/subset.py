"""A stratified subset of trials, so that a study of a large corpus takes minutes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spoofcache.protocols.trial import Trial
from spoofcache.protocols.trial_table import TrialTable

LEAST_SHARE = 0.1
"""The smaller class makes up at least this share of a subset, if it has so many trials."""


def stratified(trials: Sequence[Trial], size: int, seed: int) -> NDArray[np.int64]:
    """Choose trials so that every class, attack and speaker has its share.

    Within each class the trials are ordered by attack, then by speaker, and at random within a speaker. Trials at
    equal distances in this order are chosen (systematic sampling: Cochran, "Sampling techniques", 1977, chapter 8), so
    that each attack, and each speaker of an attack, gets its share to within one trial.

    Args:
        trials: the trials.
        size: the number of trials to choose; 0 for all.
        seed: random seed. Equal trials and seeds give equal subsets.

    Returns:
        The numbers of the chosen trials in ascending order.
    """
    if size == 0 or size >= len(trials):
        return np.arange(len(trials))
    table, random = TrialTable.of(trials), np.random.default_rng(seed)
    attacks, speakers = np.array(table.column("attack", "")), np.array(table.column("speaker", ""))
    labels, shuffled = np.frombuffer(table.labels, np.int8), random.permutation(len(table))
    chosen = []
    for label, share in enumerate(_shares(np.bincount(labels, minlength=2), size)):
        rows = shuffled[labels[shuffled] == label]
        ordered = rows[np.lexsort((speakers[rows], attacks[rows]))]
        chosen.append(ordered[((np.arange(share) + random.random()) * rows.size / max(share, 1)).astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def _shares(counts: NDArray[np.int64], size: int) -> tuple[int, int]:
    """The number of trials to choose from each of two classes."""
    smaller = int(np.argmin(counts))
    natural = round(size * counts[smaller] / counts.sum())
    share = min(int(counts[smaller]), max(natural, round(LEAST_SHARE * size)))
    return (share, size - share) if smaller == 0 else (size - share, share)
