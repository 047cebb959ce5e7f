"""Where the features of a training live, and how batches come from there: epochs after the first touch no file."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from math import prod
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray

from spoofcache.common.machine import available_memory
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import StoreError
from spoofcache.features.store import TORCH_DTYPE, from_stored

Place = Literal["device", "pinned", "mapped"]

SHARE = 0.5
"""How much of the free memory a feed takes at most: the network and other feeds want theirs."""


class Batch(NamedTuple):
    """Features [B, …] as stored (int16 waveforms as float32 ±1) on the device; class indices [B], on the host, where
    weights are told without waiting for a GPU; row numbers."""

    features: torch.Tensor
    label: torch.Tensor
    rows: Sequence[int]


class Feed:
    """Batches out of cached partitions of one shape and type, by row number: first those of the first partition.

    Attributes:
        place: `device`, in the device's memory; `pinned`, in host memory that a GPU copies from by itself (where the
            device is the CPU, the two are one); `mapped`, in the page cache, read through the memory maps.

    A row is read when it is first asked for, and stays at its place. A thread reads one batch ahead.

    Args:
        data: one partition or more.
        device: where the batches go.
        place: one of those, or `auto`: the first of them that has room (see `fitting_place`).
        beside: processes on this machine that keep the same features, this one among them.

    Raises:
        StoreError: they do not fit into the device's memory.
    """

    def __init__(
        self, data: Sequence[CachedFeatures], device: torch.device, place: str = "auto", beside: int = 1
    ) -> None:
        self._data, self._device, self._beside = list(data), device, beside
        self._ends = list(accumulate(len(each) for each in self._data))
        self._labels = torch.tensor([trial.label for each in self._data for trial in each.trials])
        plan = self._data[0].plan
        self._dtype, self._shape = TORCH_DTYPE[plan.identity.dtype], plan.row_shape
        self.n_bytes = len(self) * prod(self._shape) * self._dtype.itemsize
        self.place: str = self._fitting_place() if place == "auto" else place
        self._on_gpu = device.type == "cuda"
        if self.place != "mapped":
            self._kept = self._room()
            self._is_kept = torch.zeros(len(self), dtype=torch.bool)

    def __len__(self) -> int:
        return self._ends[-1]

    def __str__(self) -> str:
        places = {"device": "GPU memory" if self._on_gpu else "memory", "pinned": "pinned host memory"}
        where = places.get(self.place, "the page cache, through memory maps")
        return f"{len(self)} rows, {self.n_bytes / 1e9:.2f} GB, in {where}"

    def utt_id(self, row: int) -> str:
        """The utterance of a row number."""
        data, index = self._locate(row)
        return data.trials[index].utt_id

    def batches(self, batches: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """The batches of these row numbers, in their order."""
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

    def _room(self) -> torch.Tensor:
        """Memory for all rows, in which nothing is yet."""
        where = self._device if self.place == "device" else torch.device("cpu")
        pinned = self._on_gpu and self.place == "pinned"
        try:
            return torch.empty(len(self), *self._shape, dtype=self._dtype, device=where, pin_memory=pinned)
        except torch.OutOfMemoryError as error:  # which a smaller batch would not mend
            raise StoreError(
                f"{self._data[0].folder}: {self.n_bytes / 1e9:.2f} GB of features do not fit into the GPU's memory; "
                "expected train.features=auto, pinned or mapped"
            ) from error

    def _take(self, rows: Sequence[int]) -> Batch:
        features = self._read(rows) if self.place == "mapped" else self._from_kept(rows)
        return Batch(from_stored(features), self._labels[list(rows)], rows)

    def _from_kept(self, rows: Sequence[int]) -> torch.Tensor:
        """Stored rows [B, *row] on the device, of which those that were never asked for are read."""
        missing = list(dict.fromkeys(row for row in rows if not self._is_kept[row]))
        if missing and self._kept.device.type == "cuda":
            self._kept[missing] = self._read(missing)
        elif missing:
            kept = self._kept.numpy()
            self._copy(missing, [kept[row] for row in missing])
        self._is_kept[missing] = True
        if self._kept.device.type == "cuda":
            return self._kept[list(rows)]
        if not self._on_gpu:
            return torch.from_numpy(self._kept.numpy()[list(rows)])
        features = torch.empty(len(rows), *self._shape, dtype=self._dtype, device=self._device)
        for copied, row in zip(features, rows, strict=True):
            copied.copy_(self._kept[row], non_blocking=True)
        return features

    def _read(self, rows: Sequence[int]) -> torch.Tensor:
        """Stored rows [B, *row] out of the caches, on the device."""
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
    """The fastest place for so many bytes of features, when so much memory is free on the device and on the host.

    >>> fitting_place(10, device_bytes=24, host_bytes=64), fitting_place(10, 16, 64), fitting_place(10, 16, 16)
    ('device', 'pinned', 'mapped')
    """
    if n_bytes <= SHARE * device_bytes:
        return "device"
    pinned = 1 << max(0, n_bytes - 1).bit_length()  # torch's allocator takes the next power of two
    return "pinned" if pinned <= SHARE * host_bytes else "mapped"


def rows_in_order(n: int, batch_size: int) -> list[range]:
    """Row numbers of the batches that have every one of n rows once, from the first to the last.

    >>> rows_in_order(5, 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return [range(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


def _free_on_gpu(device: torch.device) -> int:
    """Bytes of a GPU's memory that may be taken, those that torch holds and nobody uses among them."""
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + idle
