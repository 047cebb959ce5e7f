"""A complete cached partition as the source of another: every trial by its number, with row, audio and omission."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.fingerprint import Fingerprint
from spoofcache.features.plan import read_trials
from spoofcache.features.store import ShardReader


class Source:
    """A complete partition, held against removal, whose trials are known by their numbers in the trial list.

    Attributes:
        folder: the partition.
        data: its rows, each of which is compared with its checksum when it is read.
        plan: the description of the cache.
        trials: its trial list, with the omitted utterances.
        omitted: the reason for each omitted utterance, by the number of its trial.

    Raises:
        StoreError: the folder is not a complete cache, or a shard is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = CachedFeatures(folder)
        self.plan = self.data.plan
        self.trials = read_trials(folder, self.plan)
        self.omitted: dict[int, str] = {}
        self._audio = np.zeros((len(self.trials), 2), np.uint64)
        self._has_audio = np.zeros(len(self.trials), bool)
        for index in range(self.plan.shard_count):
            self._read_shard(index)
        kept = np.ones(len(self.trials), bool)
        kept[list(self.omitted)] = False
        self._row_of = np.cumsum(kept) - 1

    def row(self, number: int) -> NDArray[Any]:
        """The features [*row] of a trial that is not omitted, as stored.

        Raises:
            StoreError: they have changed since they were written.
        """
        row = np.empty(self.plan.row_shape, self.plan.identity.dtype)
        self.data.copy_row(int(self._row_of[number]), row)
        return row

    def audio(self, number: int) -> Fingerprint | None:
        """The fingerprint of a trial's audio file; None if its shard does not record it."""
        return Fingerprint(*self._audio[number].tolist()) if self._has_audio[number] else None

    def _read_shard(self, index: int) -> None:
        shard, group = ShardReader(self.plan.shard_path(self.folder, index)), self.plan.group(index)
        names = self.trials.names[group]
        omitted = {
            number: shard.skipped[name] for number, name in enumerate(names, group.start) if name in shard.skipped
        }
        self.omitted |= omitted
        if shard.layout.audio is not None:
            kept = [number for number in range(group.start, group.stop) if number not in omitted]
            self._audio[kept], self._has_audio[kept] = shard.layout.audio, True
