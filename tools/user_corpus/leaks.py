"""Find leaks: properties that tell the classes of a data set apart although they have nothing to do with spoofing.

A countermeasure would learn a leak instead of learning to detect spoofing. A number (duration, loudness, …) is judged
by the area under the ROC curve (AUC), a name (sample rate, source, speaker, …) by how often the class can be guessed
from it. Both are 0.5 by chance, and 1 if the classes do not overlap.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_DIFFERENCE = 0.1
"""Smallest difference that is a leak: of the AUC or the rate of right guesses from 0.5, or between the shares that a
value has of the two classes."""
STANDARD_ERRORS = 3.0
"""A leak must also exceed this many standard errors, so that chance differences between few files are not reported."""
MOST_VALUES = 3
"""Largest number of values of a column that are reported one by one."""

KEYS = ("bonafide", "spoof")
CLASS_NAMES: Mapping[str, str] = {"bonafide": "bona fide", "spoof": "spoof"}


class Leak(NamedTuple):
    """One property that distinguishes the classes."""

    property: str
    strength: float
    """AUC or rate of right guesses: 0.5 by chance, 1 if the classes do not overlap."""
    sentence: str


class Counts(NamedTuple):
    """How many files of each class have each value of a property: two arrays [V] in the order of the values."""

    values: list[str]
    bonafide: NDArray[np.int64]
    spoof: NDArray[np.int64]


def leak_of_quantity(name: str, unit: str, bonafide: FloatArray, spoof: FloatArray) -> Leak | None:
    """The leak of a property that is a number, or None if the classes do not differ enough.

    Args:
        name: name of the property.
        unit: unit of its numbers.
        bonafide: the number of each bona fide file [N].
        spoof: the number of each spoof file [M].
    """
    if not (bonafide.size and spoof.size):
        return None
    higher = area_under_curve(bonafide, spoof)
    # standard error of the AUC under the null hypothesis: the variance of the Mann–Whitney statistic, normalised
    error = np.sqrt((bonafide.size + spoof.size + 1) / (12 * bonafide.size * spoof.size))
    if abs(higher - 0.5) < max(MIN_DIFFERENCE, STANDARD_ERRORS * error):
        return None
    strength = max(higher, 1 - higher)
    medians = f"median {np.median(bonafide):.2f} {unit} in bona fide files, {np.median(spoof):.2f} {unit} in spoof"
    return Leak(name, strength, f"{name}: {medians}; it distinguishes the classes (AUC {strength:.2f}, chance 0.50)")


def area_under_curve(low: FloatArray, high: FloatArray) -> float:
    """Area under the ROC curve: how often a value of `high` [N] exceeds one of `low` [M]; ties count half."""
    places = np.sort(low)
    below = np.searchsorted(places, high, "left") + np.searchsorted(places, high, "right")
    return float(below.mean() / (2 * low.size))


def leaks_of_kind(name: str, counts: Counts) -> list[Leak]:
    """The leaks of a property that is a name.

    There is one for each value whose shares of the classes differ, or one for all values if no single one differs.
    """
    n_bonafide, n_spoof = counts.bonafide.sum(), counts.spoof.sum()
    if min(n_bonafide, n_spoof) < 2:
        return []
    right = rate_of_right_guesses(counts)
    shares = np.stack((counts.bonafide / n_bonafide, counts.spoof / n_spoof), axis=1)
    different = _most_different_values(counts, shares)
    if different:
        return [Leak(name, right, f"{name}: {_share_sentence(counts.values[k], shares[k])}") for k in different]
    if right - 0.5 < max(MIN_DIFFERENCE, STANDARD_ERRORS * 0.25 * np.sqrt(1 / n_bonafide + 1 / n_spoof)):
        return []
    one_sided = np.count_nonzero(np.minimum(counts.bonafide, counts.spoof) == 0)
    found = f"{one_sided} of {len(counts.values)} values occur in one class only"
    return [Leak(name, right, f"{name}: {found}; it reveals the class of {percent(right)} of the files (chance 50 %)")]


def rate_of_right_guesses(counts: Counts) -> float:
    """How often the class of a file is guessed right from its value, given the classes of all *other* files.

    The result is the mean over both classes. A value that no other file has gives no evidence; such a guess counts as
    half right.
    """
    rates = []
    for own, other in ((counts.bonafide, counts.spoof), (counts.spoof, counts.bonafide)):
        evidence = (own - 1) / (own.sum() - 1) - other / other.sum()
        right = np.where(evidence > 0, 1.0, np.where(evidence == 0, 0.5, 0.0))
        rates.append(np.sum(own * right) / own.sum())
    return float(np.mean(rates))


def short(text: str, most: int) -> str:
    """Shorten a name to at most `most` characters for a table or a picture.

    >>> short("LibriSpeech", 8)
    'LibriSp…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def percent(share: float) -> str:
    """A share in percent for a sentence; shares close to 0 or 1 are not rounded to 0 % or 100 %.

    >>> percent(0.978), percent(0.0004), percent(1.0)
    ('98 %', '< 1 %', '100 %')
    """
    if 0 < share < 0.005 or 0.995 <= share < 1:
        return "< 1 %" if share < 0.5 else "> 99 %"
    return f"{100 * share:.0f} %"


def _most_different_values(counts: Counts, shares: FloatArray) -> list[int]:
    """The indices of the values whose shares of the classes [V, 2] differ most, in decreasing order of the difference.

    If a property has only two values, their differences are equal; only the value with the larger share is returned.
    """
    n_bonafide, n_spoof = counts.bonafide.sum(), counts.spoof.sum()
    pooled = (counts.bonafide + counts.spoof) / (n_bonafide + n_spoof)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_bonafide + 1 / n_spoof))
    difference = np.abs(shares[:, 0] - shares[:, 1])
    order = np.lexsort((-shares.max(axis=1), -difference.round(9)))
    first = order[: 1 if len(difference) == 2 else MOST_VALUES]
    return [int(k) for k in first if difference[k] >= max(MIN_DIFFERENCE, STANDARD_ERRORS * error[k])]


def _share_sentence(value: str, shares: FloatArray) -> str:
    value, most = short(value, 60), int(np.argmax(shares))
    here, there = CLASS_NAMES[KEYS[most]], CLASS_NAMES[KEYS[1 - most]]
    if shares[1 - most] == 0:
        return f"{value} is {here} only ({percent(shares[most])} of {here} files)"
    return f"{percent(shares[most])} of {here} files are {value}, {percent(shares[1 - most])} of {there}"
