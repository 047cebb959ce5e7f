"""The study itself: a probe for each layer, their error rates on every set, the ranking, and the best combinations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from spoofcache.evaluation.comparison import compare
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import BY_TRIAL, Comparison, Figure, Uncertainty
from spoofcache.evaluation.layer_study.held_out import HeldOut, attacks_to_hold_out, held_out_figure
from spoofcache.evaluation.layer_study.pooled_sets import PooledSet, StudyError, require_comparable
from spoofcache.evaluation.layer_study.probe import GRID, Folds, choose_c, fit_probe, make_folds
from spoofcache.metrics.det import FloatArray, equal_error_rate

SIZES = (1, 2, 4)
"""Numbers of layers in the recommended combinations."""

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Sets:
    """The data sets of a study. The layers are selected on `dev` and also judged on the `tests`."""

    train: PooledSet
    dev: PooledSet
    tests: Sequence[PooledSet] = ()

    @property
    def judged(self) -> list[PooledSet]:
        return [self.dev, *self.tests]


@dataclass(frozen=True)
class Settings:
    """How a study is made.

    Attributes:
        hold_out: also judge each attack by probes that were fitted without it.
        uncertainty: how intervals are computed.
        seed: random seed of the folds.
    """

    hold_out: bool = False
    uncertainty: Uncertainty = BY_TRIAL
    seed: int = 0


@dataclass(frozen=True)
class Combination:
    """Layers whose statistics are concatenated: their names in the order of the model, C, and the EER on every set."""

    layers: tuple[str, ...]
    c: float
    figures: Mapping[str, Figure]

    @property
    def name(self) -> str:
        return " + ".join(self.layers)


@dataclass(frozen=True)
class LayerStudy:
    """The result of a study.

    Attributes:
        layers: names of the layers, in the order of the cache.
        c: the inverse strength of the regularisation of each layer's probe.
        comparisons: the EER of all layers on dev, and then on each test set.
        ranking: names of the layers, the one with the lowest dev EER first.
        combinations: the best layer, the best pair and the best four, as far as there are so many layers.
        held_out: `held_out[set][layer]`; empty unless it was asked for.
        folds_by: the column by which utterances were grouped for the cross-validation; empty for none.
    """

    layers: tuple[str, ...]
    c: Mapping[str, float]
    comparisons: Sequence[Comparison]
    ranking: tuple[str, ...]
    combinations: Sequence[Combination]
    folds_by: str
    held_out: Mapping[str, Mapping[str, HeldOut]] = field(default_factory=dict)

    @property
    def sets(self) -> list[str]:
        """The names of dev and of the test sets."""
        return [comparison.test_set for comparison in self.comparisons]

    def figure(self, layer: str, name: str) -> Figure:
        """The EER of a layer on a set."""
        return next(one for one in self.comparisons if one.test_set == name).pooled.figures[layer]["eer"]


def fit_layers(sets: Sets, settings: Settings, advance: Advance = lambda n: None) -> "Fits":
    """Fit a probe for each layer and for the best combinations.

    Args:
        sets: the utterances.
        settings: how the study is made.
        advance: called with 1 after each of the `n_fits` fits.

    Raises:
        StudyError: train has fewer than two utterances of a class, or no attack can be held out.
        ShardMismatch: a set has other features than train.
        RunError: a set shares utterances with train.
    """
    fits = Fits(sets, settings, advance)
    fits.fit_layers()
    fits.combine()
    return fits


def judge_layers(fits: "Fits", advance: Advance = lambda n: None) -> LayerStudy:
    """Compute the error rates of all probes with their intervals; `advance` counts the `n_draws` replicates.

    Raises:
        ClusterError: the clusters do not allow a bootstrap.
    """
    sets, layers = fits.sets, fits.sets.train.layers
    uncertainty = fits.settings.uncertainty
    scores = dict(zip(layers, fits.scores, strict=True))
    return LayerStudy(
        layers,
        dict(zip(layers, fits.c, strict=True)),
        [_judge(one, place, scores, uncertainty, advance) for place, one in enumerate(sets.judged)],
        tuple(layers[number] for number in fits.order),
        _with_figures(fits.combinations, sets, uncertainty, advance),
        fits.folds.by,
        fits.held_out(advance),
    )


def n_fits(sets: Sets, settings: Settings) -> int:
    """The number of logistic regressions of a study."""
    n_layers = len(sets.train.layers)
    to_choose = len(GRID) * len(make_folds(sets.train.trials, settings.seed).folds)
    attacks = len(attacks_to_hold_out(sets.train, sets.judged)) if settings.hold_out else 0
    steps = [n_layers - step + to_choose + 1 for step in range(1, min(max(SIZES), n_layers))]
    return n_layers * (to_choose + 1 + attacks) + sum(steps)


def n_draws(sets: Sets, settings: Settings) -> int:
    """The number of bootstrap replicates of a study."""
    tables = len(sets.judged) * (2 + settings.hold_out * len(sets.train.layers))
    return tables * settings.uncertainty.replicates


class Fits:
    """The probes of a study. The methods are called in their order.

    Attributes:
        sets, settings: as given.
        folds: the folds of the cross-validation on train.
        c: the C of each layer.
        scores: `scores[layer][set]`, the scores of each layer's probe on every judged set.
        combinations: the combinations of SIZES with their scores on every judged set.
    """

    def __init__(self, sets: Sets, settings: Settings, advance: Advance) -> None:
        require_comparable(sets.train, sets.judged)
        self.sets, self.settings, self._advance = sets, settings, advance
        self._keys = sets.train.trials.is_bonafide
        if min(np.bincount(self._keys, minlength=2)) < 2:
            raise StudyError(f"{sets.train.data.folder}: fewer than 2 utterances of a class; expected more to train on")
        self.folds: Folds = make_folds(sets.train.trials, settings.seed)
        self.c: list[float] = []
        self.scores: list[list[FloatArray]] = []
        self.combinations: list[tuple[Combination, list[FloatArray]]] = []
        self._attacks = attacks_to_hold_out(sets.train, sets.judged) if settings.hold_out else []
        self._without: list[Mapping[str, list[FloatArray]]] = []
        """For each layer, the scores on every set of the probes that were fitted without an attack, by that attack."""

    @cached_property
    def order(self) -> list[int]:
        """The numbers of the layers, the best one on dev first; of equally good ones, the lowest."""
        numbers = range(len(self.scores))
        return sorted(numbers, key=lambda number: (*self._badness(self.scores[number][0]), number))

    def fit_layers(self) -> None:
        """Fit a probe for each layer and, if attacks are held out, one without each of them."""
        for number in range(len(self.sets.train.layers)):
            train = self.sets.train.layer(number)
            judged = [one.layer(number) for one in self.sets.judged]
            self.c.append(self._choose(train))
            self.scores.append(self._fitted_scores(train, judged, self.c[-1]))
            self._without.append({attack: self._scores_without(attack, train, judged) for attack in self._attacks})

    def combine(self) -> None:
        """Select layers on dev, greedily and forward, from the best one on.

        Candidates are compared at the C of the combination that they extend; the chosen one then gets a C of its own.
        """
        chosen, c = [self.order[0]], self.c[self.order[0]]
        self.combinations.append((self._combination(chosen, c), self.scores[chosen[0]]))
        while len(chosen) < min(max(SIZES), len(self.c)):
            chosen = [*chosen, self._next(chosen, c)]
            train = self.sets.train.concatenated(chosen)
            c = self._choose(train)
            scores = self._fitted_scores(train, [one.concatenated(chosen) for one in self.sets.judged], c)
            if len(chosen) in SIZES:
                self.combinations.append((self._combination(chosen, c), scores))

    def held_out(self, advance: Advance) -> dict[str, dict[str, HeldOut]]:
        """The figures on attacks that the probes have not seen, by set and layer; empty if none was held out."""
        if not self.settings.hold_out:
            return {}
        return {
            one.name: {
                layer: self._held_out_on(one, place, number, advance)
                for number, layer in enumerate(self.sets.train.layers)
            }
            for place, one in enumerate(self.sets.judged)
        }

    def _held_out_on(self, one: PooledSet, place: int, number: int, advance: Advance) -> HeldOut:
        without = {attack: scores[place] for attack, scores in self._without[number].items()}
        return held_out_figure(one, self.scores[number][place], without, self.settings.uncertainty, advance)

    def _badness(self, on_dev: FloatArray) -> tuple[float, float]:
        """The key of a ranking: the EER on dev and, for equal EERs, the share of pairs in the wrong order."""
        from sklearn.metrics import roc_auc_score  # here, not above: importing scikit-learn takes a second

        keys = self.sets.dev.trials.is_bonafide
        return equal_error_rate(on_dev[keys], on_dev[~keys]).rate, 1 - float(roc_auc_score(keys, on_dev))

    def _next(self, chosen: list[int], c: float) -> int:
        """The layer that improves the chosen ones most on dev."""
        train, dev = self.sets.train.concatenated(chosen), self.sets.dev.concatenated(chosen)
        candidates = [number for number in range(len(self.c)) if number not in chosen]
        badness = {}
        for number in candidates:
            wider = np.concatenate((train, self.sets.train.layer(number)), axis=1)
            probe = fit_probe(wider, self._keys, c)
            self._advance(1)
            scores = probe.score(np.concatenate((dev, self.sets.dev.layer(number)), axis=1))
            badness[number] = self._badness(scores)
        return min(candidates, key=lambda number: (*badness[number], number))

    def _choose(self, train: FloatArray) -> float:
        return choose_c(train, self._keys, self.folds.folds, self._advance)

    def _fitted_scores(self, train: FloatArray, judged: Sequence[FloatArray], c: float) -> list[FloatArray]:
        probe = fit_probe(train, self._keys, c)
        self._advance(1)
        return [probe.score(statistics) for statistics in judged]

    def _scores_without(self, attack: str, train: FloatArray, judged: Sequence[FloatArray]) -> list[FloatArray]:
        kept = self.sets.train.trials.columns["attack"] != attack
        probe = fit_probe(train[kept], self._keys[kept], self.c[-1])
        self._advance(1)
        return [probe.score(statistics) for statistics in judged]

    def _combination(self, chosen: list[int], c: float) -> Combination:
        return Combination(tuple(self.sets.train.layers[number] for number in sorted(chosen)), c, {})


def _judge(
    one: PooledSet, place: int, scores: Mapping[str, list[FloatArray]], uncertainty: Uncertainty, drawing: Advance
) -> Comparison:
    """The EER of systems on a set, with intervals; `scores[system][place]` are those on this set."""
    systems = {name: of_sets[place] for name, of_sets in scores.items()}
    evaluated = EvaluationSet(one.name, one.trials, systems, derived=tuple(systems))
    return compare(evaluated, ("eer",), (), uncertainty, drawing)


def _with_figures(
    found: Sequence[tuple[Combination, list[FloatArray]]], sets: Sets, uncertainty: Uncertainty, drawing: Advance
) -> list[Combination]:
    """The combinations with their EER on every set, whose intervals are computed for them alone."""
    scores = {combination.name: of_sets for combination, of_sets in found}
    tables = [_judge(one, place, scores, uncertainty, drawing).pooled for place, one in enumerate(sets.judged)]
    return [
        replace(
            combination,
            figures={
                one.name: table.figures[combination.name]["eer"] for one, table in zip(sets.judged, tables, strict=True)
            },
        )
        for combination, _ in found
    ]
