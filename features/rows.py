"""The rows of a shard: mapped from the page cache, or unpacked when they are requested.

Neither form holds a file descriptor, because a cache may have more shards than the number of files that a process may
open, 1,024 by default.
"""

import errno
import os
import re
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.features.plan import StoreError

OPEN_FILES = 32
"""Largest number of compressed shards that are kept open at once, over all caches of this process."""

NOT_THE_CONTENT = {
    number
    for name in ("EMFILE", "ENFILE", "EACCES", "EPERM", "EIO", "ENOENT", "ENOMEM", "ESTALE", "ENOTCONN", "ETIMEDOUT")
    if (number := getattr(errno, name, None)) is not None
}
"""System errors that do not mean that the content of the file is bad."""


def open_rows(path: Path, shape: tuple[int, ...], dtype: str, offset: int | None) -> Any:
    """Open rows [N, *row], to be indexed by number, as a mapped array or as PackedRows. Indexing reads a row.

    Args:
        path: the shard.
        shape: the shape (N, *row).
        dtype: the stored number type.
        offset: the byte of the file at which contiguous rows begin; None if the rows are compressed.

    Raises:
        ValueError: the file is too short to hold contiguous rows.
    """
    if 0 in shape:
        return np.zeros(shape, dtype)
    return PackedRows(path, shape, dtype) if offset is None else _map_rows(path, offset, shape, dtype)


def _map_rows(path: Path, offset: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Rows [N, *row] that begin at a byte of a file, as a copy-on-write memory map (torch requires writable memory).

    Raises:
        ValueError: the file is too short to hold the rows. Reading beyond its end would kill the process.
    """
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        mapped = torch.from_file(str(path), shared=False, size=offset + n_bytes, dtype=torch.uint8)
    except RuntimeError as error:
        raise ValueError(f"the file ends before its last row ({str(error).splitlines()[0]})") from error
    return mapped.numpy()[offset:].view(dtype).reshape(shape)


class PackedRows:
    """The compressed rows [N, *row] of a shard, which are indexed by the number of a row."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self._path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> NDArray[Any]:
        try:
            with _LOCK:
                unpacked: NDArray[Any] = _opened(self._path)[row]
        except (OSError, RuntimeError) as error:
            raise StoreError(f"{self._path}: row {row} cannot be unpacked ({str(error).splitlines()[0]})") from error
        return unpacked


_LOCK = Lock()
_OPEN: OrderedDict[tuple[Path, int, int], h5py.Dataset] = OrderedDict()


def _opened(path: Path) -> h5py.Dataset:
    """The features of a compressed shard. If too many are open, the least recently used one is closed.

    A shard that was replaced under the same name, as --repair does, is opened anew.
    """
    state = os.stat(path)
    key = (path, state.st_ino, state.st_mtime_ns)
    if key not in _OPEN:
        while len(_OPEN) >= OPEN_FILES:
            _OPEN.popitem(last=False)[1].file.close()
        _OPEN[key] = h5py.File(path, "r", locking=False)["features"]
    _OPEN.move_to_end(key)
    return _OPEN[key]


def system_error(error: BaseException) -> int | None:
    """The number of a system error that does not mean bad content; None for any other error.

    HDF5 reports some numbers in its message only.
    """
    found = re.search(r"errno = (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(found[1]) if found else None)
    return number if number in NOT_THE_CONTENT else None
