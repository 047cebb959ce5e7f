"""Shards → what a back-end trains on. Never imports a front-end: training must not pay for a speech model."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from spoofcache.features.plan import Identity, StoreError, read_manifest, read_trials
from spoofcache.features.store import ShardReader, from_stored
from spoofcache.protocols.trial import Trial


class Item(NamedTuple):
    """Features [T, D], [L, T, D] or [n] as stored (int16 waveforms as float32 ±1), class index, utterance."""

    features: torch.Tensor
    label: int
    utt_id: str


class CachedFeatures(Dataset[Item]):
    """A complete cached partition, read through memory maps: rows are copies out of the page cache.

    Attributes:
        plan: what the cache is: `identity`, `row_shape`, `trial_list_sha256`, ….
        trials: the trial of each row, in row order; utterances left out of the cache have none.
        is_mapped: no shard is compressed, so that a row that was read once stays readable at the speed of memory.

    Args:
        folder: `<out>/<corpus>/<slug>/<partition>`.
        expected: the identity that the reader asks for, if it does; an augmented view of it will do.

    Raises:
        StoreError: not a complete cache.
        ShardMismatch: another identity than `expected`, or shards that do not belong together.
    """

    def __init__(self, folder: Path, expected: Identity | None = None) -> None:
        plan = read_manifest(folder)
        if expected is not None:
            plan.identity.clean.require_same(expected.clean, folder)
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
            self._rows.append(_plain(shard.features))
        if not self.trials:
            raise StoreError(f"{folder}: every utterance was left out; expected at least one")
        self._ends = list(accumulate(len(rows) for rows in self._rows))
        self.is_mapped = all(isinstance(rows, np.ndarray) for rows in self._rows if len(rows))

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, index: int) -> Item:
        trial = self.trials[index]
        return Item(from_stored(torch.from_numpy(np.array(self._row(index)))), trial.label, trial.utt_id)

    def copy_row(self, index: int, out: NDArray[Any]) -> None:
        """Copy a row [*row], as stored, into an array of its shape: that of a batch, say.

        One core copies at the speed of memory. All of torch's threads copy faster while the machine is ours, and
        at less than half that speed while another process holds a core, which every other thread then waits for.
        """
        np.copyto(out, self._row(index))

    def _row(self, index: int) -> Any:
        """Row [*row] as stored: a view of its pages, or what h5py has unpacked."""
        shard = bisect_right(self._ends, index)
        return self._rows[shard][index - self._ends[shard]]


def _plain(rows: Any) -> Any:
    """A memory map as a plain array over the same pages, quicker to index; an h5py dataset stays what it is."""
    return np.asarray(rows) if isinstance(rows, np.memmap) else rows
