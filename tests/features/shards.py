"""Shards as an earlier edition, or somebody with an HDF5 tool, would leave them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py


@contextmanager
def changed(path: Path) -> Iterator[h5py.File]:
    """A shard opened for changes; afterwards it has no seal, as those of earlier editions have none."""
    with h5py.File(path, "r+") as file:
        file.attrs.pop("sealed", None)
        yield file
