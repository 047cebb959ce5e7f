"""Small caches of statistics in which chosen layers carry the class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spoofcache.evaluation.layer_study.pooled_sets import PooledSet, open_pooled
from spoofcache.features.plan import Identity
from spoofcache.protocols.trial import Trial
from tests.corpora import IDENTITY, make_trials, write_cache

N_LAYERS = 6


def pooled_identity(n_layers: int = N_LAYERS) -> Identity:
    layers = [str(number) for number in range(n_layers)]
    front_end = {"name": "xls-r-300m", "layers": layers, "pool": "mean+std"}
    return Identity({**IDENTITY.settings, "dtype": "float32", "front_end": front_end})


def pooled(
    folder: Path, carried: Mapping[int, float], n: int = 150, seed: int = 0, trials: Sequence[Trial] | None = None
) -> PooledSet:
    """A set named after its folder. `carried[layer]` is the distance between the classes, in standard deviations, along
    a direction of the layer's own."""
    trials = make_trials(n, folder.name) if trials is None else trials
    rows = np.random.default_rng(seed).standard_normal((len(trials), N_LAYERS, 12))
    for layer, distance in carried.items():
        rows[[trial.key == "bonafide" for trial in trials], layer, layer] += distance
    return open_pooled(folder.name, write_cache(folder, trials, rows, pooled_identity()), 0, 0)
