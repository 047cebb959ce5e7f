"""Cached statistics over time, layer by layer."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.errors import InputError
from spoofcache.engine.trained_on import require_disjoint
from spoofcache.evaluation.layer_study.subset import stratified
from spoofcache.evaluation.trials import TrialList, list_trials
from spoofcache.features.dataset import CachedFeatures
from spoofcache.metrics.det import FloatArray


class StudyError(InputError):
    """A layer study is not possible as requested; the message says what was expected."""


@dataclass(frozen=True, eq=False)
class PooledSet:
    """N utterances of a cache made with `--pool`.

    Attributes:
        name: name in tables and pictures.
        data: the cache; its rows are [L, D].
        rows: the numbers of the chosen rows [N].
    """

    name: str
    data: CachedFeatures
    rows: NDArray[np.int64]

    @cached_property
    def trials(self) -> TrialList:
        """The chosen trials with their keys."""
        everything = self.data.trials
        return list_trials(everything.take(self.rows.tolist()), everything, self.data.folder)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the L layers, as `preprocess.py --layer` takes them; that of a front-end without layers."""
        front_end, n_layers = self.data.plan.identity.settings["front_end"], self.data.plan.row_shape[0]
        named = tuple(front_end.get("layers", ())) or ((str(front_end.get("name")),) if n_layers == 1 else ())
        return named if len(named) == n_layers else tuple(map(str, range(n_layers)))

    def layer(self, number: int) -> FloatArray:
        """The statistics [N, D] of one layer in float64."""
        n_layers, width = self.data.plan.row_shape
        assert 0 <= number < n_layers
        statistics = np.empty((len(self.rows), width))
        for place, row in enumerate(self.rows.tolist()):
            self.data.copy_row(row, statistics[place], layer=number)
        return statistics

    def concatenated(self, numbers: list[int]) -> FloatArray:
        """The statistics [N, len(numbers)·D] of several layers side by side."""
        return np.concatenate([self.layer(number) for number in numbers], axis=1)


def open_pooled(name: str, folder: Path, subset: int, seed: int) -> PooledSet:
    """Open a cache of statistics over time, and choose a stratified subset of its utterances.

    Args:
        name: name of the set; empty for `corpus/partition`.
        folder: the cached partition.
        subset: the number of utterances to choose; 0 for all.
        seed: random seed of the choice.

    Raises:
        StudyError: the cache holds frames.
        StoreError: the folder is no complete cache.
        ProtocolError: all utterances are of one class.
    """
    data = CachedFeatures(folder)
    if not data.plan.identity.pool:
        raise StudyError(
            f"{folder}: a cache of frames; expected statistics over time, which preprocess.py --pool mean+std makes"
        )
    plan = data.plan
    opened = PooledSet(name or f"{plan.corpus}/{plan.partition}", data, stratified(data.trials, subset, seed))
    opened.trials  # noqa: B018  # both classes are needed; said before hours of work
    return opened


def require_comparable(train: PooledSet, others: list[PooledSet]) -> None:
    """Check that sets can be judged by probes that were trained on `train`.

    Raises:
        ShardMismatch: a set has other features.
        RunError: a set shares utterances with `train`.
        StudyError: two sets have the same name.
    """
    names = [one.name for one in others]
    for name in names:
        if names.count(name) > 1:
            raise StudyError(f"two test sets are named {name}; expected NAME=… with another name for one of them")
    for other in others:
        other.data.plan.identity.clean.require_same(train.data.plan.identity.clean, other.data.folder)
        require_disjoint(train.data, other.data, "the probes would be judged on utterances that they were trained on")
