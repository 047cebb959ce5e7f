"""Leave-one-attack-out: each attack is judged by a probe that never saw it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spoofcache.evaluation.figures import Figure, Uncertainty
from spoofcache.evaluation.layer_study.pooled_sets import PooledSet, StudyError
from spoofcache.metrics.bootstrap import Resampling, Statistic, bootstrap, percentile_interval
from spoofcache.metrics.det import FloatArray, equal_error_rate
from spoofcache.metrics.scores import UNKNOWN


@dataclass(frozen=True)
class HeldOut:
    """The EER of each attack, judged by a probe that never saw it, and the mean over the attacks.

    Attributes:
        mean: the mean with its interval; undefined if no attack of the set is known.
        attacks: the EER by attack, against all bona fide utterances of the set.
    """

    mean: Figure
    attacks: Mapping[str, float]


def attacks_to_hold_out(train: PooledSet, judged: Sequence[PooledSet]) -> list[str]:
    """The attacks of train that also occur in a judged set, and that are therefore held out one after the other.

    Raises:
        StudyError: no attack is known, or train has a single attack, which also occurs in another set.
    """
    of_train = _attacks(train)
    if not of_train or not any(_attacks(one) for one in judged):
        lacking = train if not of_train else judged[0]
        raise StudyError(
            f"--hold-out attack: the attacks of {lacking.data.folder} are not known; expected a protocol with attacks"
        )
    held_out = [attack for attack in of_train if any(attack in _attacks(one) for one in judged)]
    unnamed = train.trials.columns["attack"][~train.trials.is_bonafide] == UNKNOWN
    if held_out and len(of_train) == 1 and not unnamed.any():
        raise StudyError(
            f"--hold-out attack: {of_train[0]} is the only attack of {train.data.folder}; expected two or more"
        )
    return held_out


def held_out_figure(
    one: PooledSet,
    scores: FloatArray,
    without: Mapping[str, FloatArray],
    uncertainty: Uncertainty,
    advance: Callable[[int], object],
) -> HeldOut:
    """Judge each attack of a set.

    Args:
        one: the set, with N utterances.
        scores: scores [N] of the probe that was fitted on the whole of train, for attacks that train does not have.
        without: scores [N] of the probe that was fitted without an attack, by the attack.
        uncertainty: how the interval of the mean is computed. Utterances are drawn one by one within bona fide and
            within each attack; clusters are not drawn, since an attack often has a single value of them.
        advance: is called with 1 after each replicate.
    """
    attacks = _attacks(one)
    if not attacks:
        advance(uncertainty.replicates)
        return HeldOut(Figure(None), {})
    of_attack = [without.get(attack, scores) for attack in attacks]
    kinds = _kinds(one, attacks)
    known = kinds >= 0
    rates = [_rate(of[kinds == 0], of[kinds == place]) for place, of in enumerate(of_attack, 1)]
    mean = Figure(float(np.mean(rates)))
    if uncertainty.replicates:
        statistics = [_statistic(place) for place in range(1, len(attacks) + 1)]
        resampling = Resampling(kinds[known], {})
        drawn = bootstrap(
            [of[known] for of in of_attack], statistics, resampling, uncertainty.replicates, uncertainty.seed, advance
        )
        interval = percentile_interval(drawn[:, :, 0].mean(axis=1), uncertainty.level)
        mean = Figure(mean.value, interval.low, interval.high)
    return HeldOut(mean, dict(zip(attacks, rates, strict=True)))


def _statistic(place: int) -> Statistic:
    """A function that computes the EER of the attack whose scores are at that place, behind those of bona fide."""
    return lambda *scores: (_rate(scores[0], scores[place]),)


def _rate(bonafide: FloatArray, spoof: FloatArray) -> float:
    return equal_error_rate(bonafide, spoof).rate


def _kinds(one: PooledSet, attacks: Sequence[str]) -> np.ndarray:
    """0 for bona fide, 1… for the attacks in order, −1 for spoofs of no known attack [N]."""
    kinds = np.where(one.trials.is_bonafide, 0, -1)
    for place, attack in enumerate(attacks, 1):
        kinds[~one.trials.is_bonafide & (one.trials.columns["attack"] == attack)] = place
    return kinds


def _attacks(one: PooledSet) -> list[str]:
    found = one.trials.columns["attack"][~one.trials.is_bonafide].tolist()
    return sorted(set(found) - {UNKNOWN})
