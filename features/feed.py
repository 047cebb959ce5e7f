"""Keeps the features of a training in memory and makes batches of them. Files are read in the first epoch only."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.common.machine import available_memory
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import StoreError
from spoofcache.features.store import TORCH_DTYPE, from_stored

Place = Literal["device", "pinned", "mapped"]

SHARE = 0.5
"""Largest fraction of the free memory that a feed takes. The rest is for the network and for other feeds."""


class Batch(NamedTuple):
    """A batch of utterances.

    Attributes:
        features: [B, …] on the device, in the stored type (int16 waveforms as float32 between −1 and 1).
        label: class indices [B] on the host, where their weights are computed without waiting for a GPU; pinned, if
            there is one.
        rows: row numbers.
    """

    features: torch.Tensor
    label: torch.Tensor
    rows: Sequence[int]


class Feed:
    """Makes batches from cached partitions of one shape and type. Rows are numbered through all partitions, in order.

    A row is read when it is first requested, and then kept. A thread reads one batch ahead.

    Attributes:
        place: where rows are kept: `device` (in the device's memory), `pinned` (in host memory from which a GPU copies
            by itself; the same as `device` on a CPU) or `mapped` (in the page cache, read through memory maps).

    Args:
        data: one or more partitions.
        device: the device of the batches.
        place: one of the places, or `auto` for the fastest one with room (see `fitting_place`).
        beside: number of processes on this machine that keep the same features, including this one.

    Raises:
        StoreError: the features do not fit into the device's memory.
    """

    def __init__(
        self, data: Sequence[CachedFeatures], device: torch.device, place: str = "auto", beside: int = 1
    ) -> None:
        self._data, self._device, self._beside = list(data), device, beside
        self._ends = list(accumulate(len(each) for each in self._data))
        self._labels = torch.from_numpy(np.concatenate([each.labels for each in self._data]))
        plan = self._data[0].plan
        self._dtype, self._shape = TORCH_DTYPE[plan.identity.dtype], plan.row_shape
        self.n_bytes = len(self) * prod(self._shape) * self._dtype.itemsize
        self.place: str = self._fitting_place() if place == "auto" else place
        self._on_gpu = device.type == "cuda"
        if self.place != "mapped":
            self._make_room(may_do_without=place == "auto")

    def __len__(self) -> int:
        return self._ends[-1]

    def __str__(self) -> str:
        places = {"device": "GPU memory" if self._on_gpu else "memory", "pinned": "pinned host memory"}
        where = places.get(self.place, "the page cache, through memory maps")
        return f"{len(self)} rows, {self.n_bytes / 1e9:.2f} GB, in {where}"

    def utt_id(self, row: int) -> str:
        """The name of the utterance in a row."""
        data, index = self._locate(row)
        return data.trials.names[index]

    def batches(self, batches: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Yield the batch of each sequence of row numbers, in order."""
        with ThreadPoolExecutor(1) as reader:
            ahead = None
            for rows in batches:
                ahead, ready = reader.submit(self._take, rows), ahead
                if ready is not None:
                    yield ready.result()
            if ahead is not None:
                yield ahead.result()

    def _fitting_place(self) -> Place:
        on_gpu = self._device.type == "cuda"
        host = available_memory() // self._beside
        free = _free_on_gpu(self._device) if on_gpu else host
        if not on_gpu and all(each.is_mapped for each in self._data):
            return "mapped"
        return fitting_place(self.n_bytes, free, host)

    def _make_room(self, may_do_without: bool) -> None:
        """Take memory for all rows, not yet filled. If it is refused, the rows stay mapped, or StoreError is raised."""
        where = self._device if self.place == "device" else torch.device("cpu")
        pinned = self._on_gpu and self.place == "pinned"
        try:
            self._kept = torch.empty(len(self), *self._shape, dtype=self._dtype, device=where, pin_memory=pinned)
        except (torch.OutOfMemoryError, torch.AcceleratorError) as error:  # the latter if memory cannot be pinned
            if may_do_without:
                self.place = "mapped"
                return
            memory = "pinned memory, of which this system allows less" if pinned else "the GPU's memory"
            others = "auto or mapped" if pinned else "auto, pinned or mapped"
            raise StoreError(
                f"{self._data[0].folder}: {self.n_bytes / 1e9:.2f} GB of features do not fit into {memory}; "
                f"expected train.features={others}"
            ) from error
        self._is_kept = torch.zeros(len(self), dtype=torch.bool)

    def _take(self, rows: Sequence[int]) -> Batch:
        features = self._read(rows) if self.place == "mapped" else self._from_kept(rows)
        labels = self._labels[list(rows)].long()
        return Batch(from_stored(features), labels.pin_memory() if self._on_gpu else labels, rows)

    def _from_kept(self, rows: Sequence[int]) -> torch.Tensor:
        """Stored rows [B, *row] on the device. Rows that are requested for the first time are read."""
        missing = list(dict.fromkeys(row for row in rows if not self._is_kept[row]))
        if missing and self._kept.device.type == "cuda":
            self._kept[self._index(missing)] = self._read(missing)
        elif missing:
            kept = self._kept.numpy()
            self._copy(missing, [kept[row] for row in missing])
        self._is_kept[missing] = True
        if self._kept.device.type == "cuda":
            return self._kept[self._index(rows)]
        if not self._on_gpu:
            return torch.from_numpy(self._kept.numpy()[list(rows)])
        features = torch.empty(len(rows), *self._shape, dtype=self._dtype, device=self._device)
        for copied, row in zip(features, rows, strict=True):
            copied.copy_(self._kept[row], non_blocking=True)
        return features

    def _index(self, rows: Sequence[int]) -> torch.Tensor:
        """Row numbers on the GPU, copied from pinned memory: for a list, torch would wait until the GPU is idle."""
        return torch.tensor(rows).pin_memory().to(self._device, non_blocking=True)

    def _read(self, rows: Sequence[int]) -> torch.Tensor:
        """Read stored rows [B, *row] from the caches, and copy them to the device."""
        batch = torch.empty(len(rows), *self._shape, dtype=self._dtype, pin_memory=self._on_gpu)
        self._copy(rows, batch.numpy())
        return batch.to(self._device, non_blocking=True)

    def _copy(self, rows: Sequence[int], out: Iterable[NDArray[Any]]) -> None:
        for row, copied in zip(rows, out, strict=True):
            data, index = self._locate(row)
            data.copy_row(index, copied)

    def _locate(self, row: int) -> tuple[CachedFeatures, int]:
        part = bisect_right(self._ends, row)
        return self._data[part], row - (self._ends[part] - len(self._data[part]))


def fitting_place(n_bytes: int, device_bytes: int, host_bytes: int) -> Place:
    """The fastest place for `n_bytes` of features, given the free bytes of memory on the device and on the host.

    >>> fitting_place(10, device_bytes=24, host_bytes=64), fitting_place(10, 16, 64), fitting_place(10, 16, 16)
    ('device', 'pinned', 'mapped')
    """
    if n_bytes <= SHARE * device_bytes:
        return "device"
    pinned = 1 << max(0, n_bytes - 1).bit_length()  # torch's allocator takes the next power of two
    return "pinned" if pinned <= SHARE * host_bytes else "mapped"


def rows_in_order(n: int, batch_size: int) -> list[range]:
    """Row numbers of the batches that contain each of n rows once, in order.

    >>> rows_in_order(5, 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return [range(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


def _free_on_gpu(device: torch.device) -> int:
    """Free bytes of a GPU's memory, including those that torch has reserved but does not use."""
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + idle
