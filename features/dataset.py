"""Reads cached features for training. It never imports a front-end, since training does not need a speech model."""

import hashlib
import os
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from spoofcache.common.arguments import ArgumentError, checked
from spoofcache.features.held import Held
from spoofcache.features.plan import Identity, StoreError, read_manifest, read_trials
from spoofcache.features.store import REMEDY, ShardReader, crc32_of, from_stored, is_finite


class Item(NamedTuple):
    """Features [T, D], [L, T, D] or [n] as stored (int16 waveforms as float32 ±1), class index, and utterance."""

    features: torch.Tensor
    label: int
    utt_id: str


class CachedFeatures(Dataset[Item]):
    """A complete cached partition, which is read through memory maps. Items are copies of the cached rows.

    While the object exists, `spoofcache cache rm` refuses to remove the partition.

    When a row is read for the first time, its bytes are compared with the stored checksum, and its values must be
    finite.

    Attributes:
        plan: the description of the cache, with `identity`, `row_shape` and `trial_list_sha256`.
        trials: the trial of each row, in the order of the rows. It does not contain utterances that the cache omits.
        is_mapped: whether no shard is compressed, so that a row can be read again at the speed of memory.

    Args:
        folder: `<out>/<corpus>/<slug>/<partition>`.
        expected: the identity that the cache must have, apart from augmentation. If None, any identity is accepted.

    Raises:
        StoreError: the folder is not a complete cache.
        ShardMismatch: the identity is not `expected`, or the shards do not belong together.
    """

    @checked
    def __init__(self, folder: Path | str, expected: Identity | None = None) -> None:
        folder = Path(folder)
        plan = read_manifest(folder)
        if expected is not None:
            plan.identity.clean.require_same(expected.clean, folder)
        self.folder = folder
        self.plan = plan
        trials, omitted = read_trials(folder, plan), set[int]()
        self._held = Held(folder)
        self._shards: list[_Rows] = []
        for index in range(plan.shard_count):
            shard = ShardReader(plan.shard_path(folder, index))
            shard.require(plan, index)
            group = plan.group(index)
            names = trials.names[group]
            shard.require_utterances(names)
            omitted.update(row for row, name in enumerate(names, group.start) if name in shard.skipped)
            self._shards.append(_Rows.of(shard))
        self.trials = trials.take(row for row in range(len(trials)) if row not in omitted) if omitted else trials
        if not self.trials:
            raise StoreError(f"{folder}: every utterance was omitted; expected at least one")
        self._ends = list(accumulate(len(shard.rows) for shard in self._shards))
        self._is_checked = np.zeros(len(self.trials), bool)
        self.is_mapped = all(shard.end is not None for shard in self._shards if len(shard.rows))

    @property
    def content_digest(self) -> str:
        """SHA-256 of the checksums of all rows. Caches with equal digests have equal features."""
        return hashlib.sha256(b"".join(shard.checksums.tobytes() for shard in self._shards)).hexdigest()

    @property
    def labels(self) -> NDArray[np.int8]:
        """The class index of each row [N]."""
        return np.frombuffer(self.trials.labels, np.int8)

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, index: int) -> Item:
        """A row; negative indices count from the end.

        Raises:
            IndexError: there is no such row.
            ArgumentError: the index is not a whole number.
        """
        try:
            index = range(len(self))[index]
        except TypeError:
            raise ArgumentError(f"CachedFeatures with index {index!r}; expected the number of a row") from None
        trial = self.trials[index]
        return Item(from_stored(torch.from_numpy(np.array(self._row(index)))), trial.label, trial.utt_id)

    def copy_row(self, index: int, out: NDArray[Any], layer: int | None = None) -> None:
        """Copy a row [*row], as stored, into an array of its shape, for example in a batch.

        With a `layer`, only this part of a row [L, …] is copied, into an array of the shape of the part.

        One core copies at the speed of memory. All of torch's threads together are faster on an idle machine, but less
        than half as fast if another process occupies a core, because the other threads wait for that one.
        """
        row = self._row(index)
        np.copyto(out, row if layer is None else row[layer])

    def _row(self, index: int) -> NDArray[Any]:
        """The row [*row] as stored: a view of its memory pages, or unpacked.

        Raises:
            StoreError: the row has changed since it was written or has values that are not finite, or its shard was cut
                short.
        """
        number = bisect_right(self._ends, index)
        shard = self._shards[number]
        shard.require_whole()
        place = index - self._ends[number]
        row: NDArray[Any] = shard.rows[place]
        if not self._is_checked[index]:
            self._check(index, shard, row, int(shard.checksums[place]))
        return row

    def _check(self, index: int, shard: "_Rows", row: NDArray[Any], checksum: int) -> None:
        if crc32_of(row) != checksum:
            fault = "changed since it was written"
        elif not is_finite(row):
            fault = "contains NaN or infinity"
        else:
            self._is_checked[index] = True
            return
        raise StoreError(
            f"{shard.path}: the row of utterance {self.trials[index].utt_id} {fault}; {REMEDY}. preprocess.py --verify "
            "lists all of them"
        )


class _Rows(NamedTuple):
    """The rows of a shard with their checksums. Mapped rows end before byte `end`; it is None for compressed ones."""

    path: Path
    rows: Any
    checksums: NDArray[np.uint32]
    end: int | None

    @classmethod
    def of(cls, shard: ShardReader) -> "_Rows":
        offset = shard.layout.offset
        end = None if offset is None else offset + shard.features.nbytes
        return cls(shard.path, shard.features, shard.layout.checksums, end)

    def require_whole(self) -> None:
        """Raise StoreError if a mapped file has become too short, since reading beyond its end kills the process."""
        if self.end is None:
            return
        try:
            size = os.stat(self.path).st_size
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read any more ({error.strerror})") from error
        if size < self.end:
            raise StoreError(f"{self.path}: was cut short after it was opened, to {size} bytes; expected {self.end}")
