"""Shards → what a back-end trains on. Never imports a front-end: training must not pay for a speech model."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from features.plan import Identity, StoreError, read_manifest, read_trials
from features.store import ShardReader, from_stored
from protocols.trial import Trial


class Item(NamedTuple):
    """Features [T, D], [L, T, D] or [n] as stored (int16 waveforms as float32 ±1), class index, utterance."""

    features: torch.Tensor
    label: int
    utt_id: str


class CachedFeatures(Dataset[Item]):
    """A complete cached partition, read through memory maps; `dataset[i]` copies one row out of the page cache.

    Attributes:
        plan: what the cache is: `identity`, `row_shape`, `trial_list_sha256`, ….
        trials: the trial of each row, in row order; utterances left out of the cache have none.

    Args:
        folder: `<out>/<corpus>/<slug>/<partition>`.
        expected: the identity that the reader asks for, if it does.

    Raises:
        StoreError: not a complete cache.
        ShardMismatch: another identity than `expected`, or shards that do not belong together.
    """

    def __init__(self, folder: Path, expected: Identity | None = None) -> None:
        plan = read_manifest(folder)
        if expected is not None:
            plan.identity.require_same(expected, folder)
        self.folder = folder
        self.plan = plan
        trials = read_trials(folder, plan)
        self.trials: list[Trial] = []
        self._rows: list[Any] = []
        for index in range(plan.shard_count):
            shard = ShardReader(plan.shard_path(folder, index))
            shard.require(plan, index)
            group = trials[plan.group(index)]
            shard.require_utterances([trial.utt_id for trial in group])
            self.trials += [trial for trial in group if trial.utt_id not in shard.skipped]
            self._rows.append(_as_tensor(shard.features))
        if not self.trials:
            raise StoreError(f"{folder}: every utterance was left out; expected at least one")
        self._ends = list(accumulate(len(rows) for rows in self._rows))

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, index: int) -> Item:
        trial = self.trials[index]
        shard = bisect_right(self._ends, index)
        row = torch.as_tensor(self._rows[shard][index - self._ends[shard]])
        return Item(from_stored(row.clone()), trial.label, trial.utt_id)  # clone copies on all of torch's threads


def _as_tensor(rows: Any) -> Any:
    """A memory map as a tensor over the same pages, quicker to index; an h5py dataset stays what it is."""
    return torch.from_numpy(rows) if isinstance(rows, np.memmap) else rows
