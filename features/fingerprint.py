"""Fingerprints of audio files (size and hash), by which a cache notices that the audio of a row has changed."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.parquet import is_packed
from spoofcache.features.audio.packed import as_file

WHOLE = 4 * 2**20
"""Size in bytes up to which the whole file is hashed."""

END = 2**20
"""Number of bytes that are hashed at the beginning and at the end of a longer file, besides pieces in between."""

PIECES = 32
PIECE = 2**16


class Fingerprint(NamedTuple):
    """The size in bytes of an audio file, and 64 bits of a hash (BLAKE2b) of its content."""

    size: int
    digest: int


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a file.

    A file of more than 4 MiB is hashed in part: its first and last MiB, and 32 pieces of 64 KiB that lie evenly
    between. A change in what lies between them alone, which leaves the size as it was, goes unnoticed.

    Raises:
        OSError: the file cannot be read.
        ParquetError: the path names a row of a Parquet file that cannot be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    with as_file(path) as own, own.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= WHOLE:
            digest.update(file.read())
        else:
            digest.update(file.read(END))
            for piece in range(PIECES):
                file.seek(END + (size - 2 * END - PIECE) * piece // (PIECES - 1))
                digest.update(file.read(PIECE))
            file.seek(size - END)
            digest.update(file.read(END))
    return Fingerprint(size, int.from_bytes(digest.digest(), "little"))


def as_array(fingerprints: list[Fingerprint]) -> NDArray[np.uint64]:
    """Fingerprints as they are stored: [N, 2], size and digest."""
    return np.array(fingerprints, np.uint64).reshape(-1, 2)


def first_that_changed(paths: list[Path], stored: NDArray[np.uint64], workers: int) -> int | None:
    """The index of the first file that has changed; None if no file has.

    Args:
        paths: of the files.
        stored: [N, 2], their fingerprints of before.
        workers: how many files are read at once.
    """
    for index, (path, (size, _)) in enumerate(zip(paths, stored.tolist(), strict=True)):
        if not is_packed(path) and path.stat().st_size != size:  # sizes first: they cost no reading
            return index
    with ThreadPoolExecutor(workers) as pool:
        for index, (found, expected) in enumerate(zip(pool.map(fingerprint, paths), stored.tolist(), strict=True)):
            if list(found) != expected:
                return index
    return None
