"""What tells the classes of a data set apart without any spoofing being heard: a countermeasure would learn that.

Numbers are judged by the area under the ROC curve (AUC); names (sample rate, source, speaker …) by how often the class
is guessed right from the name alone. Either is 50 % by chance and 100 % where the classes never meet.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEAST = 0.1
"""A leak is told from this difference on: of the AUC or the guesses from 0.5, of a value's shares of the classes."""
STANDARD_ERRORS = 3.0
"""And it must be as many times what chance alone would give, so that few files make no leaks."""
MOST_VALUES = 3
"""Of a column, that are told one by one."""

KEYS = ("bonafide", "spoof")
SPOKEN: Mapping[str, str] = {"bonafide": "bona fide", "spoof": "spoof"}


class Leak(NamedTuple):
    """One property that tells the classes apart."""

    property: str
    strength: float
    """0.5 by chance, 1 where the classes never meet."""
    sentence: str


class Counts(NamedTuple):
    """How many files of a class have each value of a property, [V] each, in the order of the values."""

    values: list[str]
    bonafide: NDArray[np.int64]
    spoof: NDArray[np.int64]


def leak_of_quantity(name: str, unit: str, bonafide: FloatArray, spoof: FloatArray) -> Leak | None:
    """A leak by a number, if it is one.

    Args:
        name: of the property.
        unit: of its numbers.
        bonafide: number of each bona fide file [N].
        spoof: likewise [M].
    """
    if not (bonafide.size and spoof.size):
        return None
    higher = area(bonafide, spoof)
    # Mann and Whitney's variance where the classes do not differ
    error = np.sqrt((bonafide.size + spoof.size + 1) / (12 * bonafide.size * spoof.size))
    if abs(higher - 0.5) < max(LEAST, STANDARD_ERRORS * error):
        return None
    strength = max(higher, 1 - higher)
    medians = f"median {np.median(bonafide):.2f} {unit} in bona fide files, {np.median(spoof):.2f} {unit} in spoof"
    return Leak(name, strength, f"{name}: {medians}; it tells the classes apart (AUC {strength:.2f}, chance 0.50)")


def area(low: FloatArray, high: FloatArray) -> float:
    """Area under the ROC curve: how often one of `high` [N] exceeds one of `low` [M]; ties count half."""
    places = np.sort(low)
    below = np.searchsorted(places, high, "left") + np.searchsorted(places, high, "right")
    return float(below.mean() / (2 * low.size))


def leaks_of_kind(name: str, counts: Counts) -> list[Leak]:
    """Leaks by a name: a sentence for each telling value, or one for all values together where none tells much."""
    n_bonafide, n_spoof = counts.bonafide.sum(), counts.spoof.sum()
    if min(n_bonafide, n_spoof) < 2:
        return []
    right = guessed_right(counts)
    shares = np.stack((counts.bonafide / n_bonafide, counts.spoof / n_spoof), axis=1)
    telling = _telling(counts, shares)
    if telling:
        return [Leak(name, right, f"{name}: {_share_sentence(counts.values[k], shares[k])}") for k in telling]
    if right - 0.5 < max(LEAST, STANDARD_ERRORS * 0.25 * np.sqrt(1 / n_bonafide + 1 / n_spoof)):
        return []
    one_sided = np.count_nonzero(np.minimum(counts.bonafide, counts.spoof) == 0)
    found = f"{one_sided} of {len(counts.values)} values stand for one class only"
    return [Leak(name, right, f"{name}: {found}; it tells the class of {percent(right)} of the files (chance 50 %)")]


def guessed_right(counts: Counts) -> float:
    """How often the class of a file is guessed from its value, by what the *other* files with that value are.

    The mean of both classes' rates. A value that no other file has tells nothing: a tie, which is half right.
    """
    rates = []
    for own, other in ((counts.bonafide, counts.spoof), (counts.spoof, counts.bonafide)):
        evidence = (own - 1) / (own.sum() - 1) - other / other.sum()
        right = np.where(evidence > 0, 1.0, np.where(evidence == 0, 0.5, 0.0))
        rates.append(np.sum(own * right) / own.sum())
    return float(np.mean(rates))


def short(text: str, most: int) -> str:
    """A name that a table or a picture has room for.

    >>> short("LibriSpeech", 8)
    'LibriSp…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def percent(share: float) -> str:
    """A share for a sentence: `98 %`; what is not quite all or nothing does not look like it.

    >>> percent(0.978), percent(0.0004), percent(1.0)
    ('98 %', '< 1 %', '100 %')
    """
    if 0 < share < 0.005 or 0.995 <= share < 1:
        return "< 1 %" if share < 0.5 else "> 99 %"
    return f"{100 * share:.0f} %"


def _telling(counts: Counts, shares: FloatArray) -> list[int]:
    """The values whose shares [V, 2] of the classes differ most, the most telling first.

    Two values differ by the same: only the one that has more of a class is told.
    """
    n_bonafide, n_spoof = counts.bonafide.sum(), counts.spoof.sum()
    pooled = (counts.bonafide + counts.spoof) / (n_bonafide + n_spoof)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_bonafide + 1 / n_spoof))
    difference = np.abs(shares[:, 0] - shares[:, 1])
    order = np.lexsort((-shares.max(axis=1), -difference.round(9)))
    first = order[: 1 if len(difference) == 2 else MOST_VALUES]
    return [int(k) for k in first if difference[k] >= max(LEAST, STANDARD_ERRORS * error[k])]


def _share_sentence(value: str, shares: FloatArray) -> str:
    value, most = short(value, 60), int(np.argmax(shares))
    here, there = SPOKEN[KEYS[most]], SPOKEN[KEYS[1 - most]]
    if shares[1 - most] == 0:
        return f"{value} is {here} only ({percent(shares[most])} of {here} files)"
    return f"{percent(shares[most])} of {here} files are {value}, {percent(shares[1 - most])} of {there}"
