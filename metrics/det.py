"""The detection error trade-off (DET) between two sets of scores, and its equal error rate.

A higher score means more bona fide; no function guesses or inverts the sign. Rates are fractions in float64.
Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spoofcache.common.arguments import real_array
from spoofcache.common.errors import InputError

FloatArray = NDArray[np.float64]


class ScoreError(InputError):
    """Scores that cannot be evaluated. For scores from a file, the message names the file, the line and the value."""


class DetCurve(NamedTuple):
    """Error rates at every threshold, from "accept all" to "reject all": three arrays [N + M + 1].

    At point k the k lowest scores are rejected: `frr` is the share of the N bona fide scores rejected (it
    rises from 0 to 1), `far` the share of the M spoof scores accepted (it falls from 1 to 0). `thresholds`
    holds the highest rejected score; its first entry, where nothing is rejected, is the float below the lowest.
    """

    frr: FloatArray
    far: FloatArray
    thresholds: FloatArray


class VerificationCurve(NamedTuple):
    """Error rates of a speaker verification system at every threshold: four arrays [N + M + K + 1].

    At point k the k lowest scores are rejected; `thresholds` as in `DetCurve`.
    """

    p_miss: FloatArray
    p_fa_nontarget: FloatArray
    p_fa_spoof: FloatArray
    thresholds: FloatArray


class EqualErrorRate(NamedTuple):
    """The rate (a fraction) at which false rejections and acceptances are equal, and the threshold of that point."""

    rate: float
    threshold: float


def det_curve(bonafide: ArrayLike, spoof: ArrayLike) -> DetCurve:
    """Compute the error rates at every threshold between `bonafide` scores [N] and `spoof` scores [M].

    Among equal scores, bona fide trials are rejected first, as in the ASVspoof evaluation code: a tie counts against
    the detector. The function serves any two classes, such as target and nontarget trials of an ASV system; the first
    is the class to accept.

    >>> det_curve(bonafide=[2.0, 3.0], spoof=[1.0])
    DetCurve(frr=array([0. , 0. , 0.5, 1. ]), far=array([1., 0., 0., 0.]), thresholds=array([1., 1., 2., 3.]))

    Raises:
        ScoreError: a class is empty or has more than one dimension, or a score is NaN or infinite.
        ArgumentError: the scores are not numbers.
    """
    accept, reject = _valid(bonafide, "bona fide"), _valid(spoof, "spoof")
    scores = np.concatenate((accept, reject))
    order = np.argsort(scores, kind="stable")  # stable: bona fide stay in front of equal spoof scores
    thresholds, is_spoof = _thresholds(scores, order), order >= accept.size
    del scores, order  # of a million trials, every array takes 8 MB
    n_spoof = np.zeros(thresholds.size)
    np.cumsum(is_spoof, out=n_spoof[1:])
    frr = np.arange(thresholds.size, dtype=np.float64)
    frr -= n_spoof
    frr /= accept.size
    far = np.subtract(reject.size, n_spoof, out=n_spoof)
    far /= reject.size
    return DetCurve(frr, far, thresholds)


def equal_error_rate(bonafide: ArrayLike, spoof: ArrayLike) -> EqualErrorRate:
    """Compute the mean of FRR and FAR at the first point of the DET curve where their distance is smallest.

    This is the equal error rate of the ASVspoof 2019 evaluation code. For a detector whose sign is inverted it is above
    one half, and is returned as it is.

    >>> equal_error_rate(bonafide=[0.5, 2.0, 3.0, 4.0], spoof=[-1.0, 0.0, 1.0, -2.0])
    EqualErrorRate(rate=0.25, threshold=0.5)

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    return equal_error_rate_of(det_curve(bonafide, spoof))


def equal_error_rate_of(curve: DetCurve) -> EqualErrorRate:
    """Compute the equal error rate of a DET curve that was computed before; see `equal_error_rate`."""
    distance = curve.frr - curve.far
    nearest = int(np.argmin(np.abs(distance, out=distance)))
    rate = (curve.frr[nearest] + curve.far[nearest]) / 2
    return EqualErrorRate(float(rate), float(curve.thresholds[nearest]))


def verification_curve(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> VerificationCurve:
    """Compute the error rates of a system that should accept `target` [N] and reject `nontarget` [M] and `spoof` [K].

    Among equal scores, target trials are rejected first, then nontarget trials, then spoof trials, as in the ASVspoof 5
    evaluation code.

    >>> verification_curve(target=[3], nontarget=[1], spoof=[2]).p_fa_spoof
    array([1., 1., 0., 0.])

    Raises:
        ScoreError: a class is empty, or a score is NaN or infinite.
    """
    classes = [
        _valid(scores, name) for scores, name in ((target, "target"), (nontarget, "nontarget"), (spoof, "spoof (ASV)"))
    ]
    scores = np.concatenate(classes)
    kinds = np.repeat(np.arange(3), [len(one) for one in classes])
    order = np.argsort(scores, kind="stable")
    rejected = [np.concatenate(([0], np.cumsum(kinds[order] == kind))) / len(one) for kind, one in enumerate(classes)]
    return VerificationCurve(rejected[0], 1 - rejected[1], 1 - rejected[2], _thresholds(scores, order))


def _thresholds(scores: FloatArray, ascending: NDArray[np.intp]) -> FloatArray:
    thresholds = np.empty(scores.size + 1)
    np.take(scores, ascending, out=thresholds[1:])
    with np.errstate(over="ignore"):  # the float below the lowest one is −∞
        thresholds[0] = np.nextafter(thresholds[1], -np.inf)
    return thresholds


def _valid(scores: ArrayLike, name: str) -> FloatArray:
    array = real_array(scores, f"{name} scores").astype(np.float64)
    if array.ndim != 1:
        raise ScoreError(f"{name} scores of shape {array.shape}; expected a single dimension")
    if not array.size:
        raise ScoreError(f"no {name} scores; expected at least one of each class")
    broken = array[~np.isfinite(array)]
    if broken.size:
        raise ScoreError(f"{broken.size} of {array.size} {name} scores are {broken[0]}; expected finite numbers")
    return array
