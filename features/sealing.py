"""The seal after a shard's HDF5 data: a checksum of everything in the file except the features.

HDF5 has no checksum for its own structures, and one damaged bit in them can make its library loop forever. A shard
therefore ends with a seal that HDF5 ignores: a line of JSON with the positions of the features and the SHA-256 of all
other bytes, followed by the length of that line and a magic word. Each row of the features has a checksum of its own
among the sealed bytes. Shards of earlier versions have no seal.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from spoofcache.common.errors import InputError

MAGIC = b"SPFSEAL1"
LENGTH_BYTES = 8
LONGEST = 2**20
"""Largest length of the JSON line in bytes. A compressed shard has one pair of numbers for each row."""
BLOCK = 2**20


class BrokenSeal(InputError):
    """A shard does not match its seal: its structures have changed since they were written."""


def seal(file: BinaryIO, data: Sequence[tuple[int, int]]) -> None:
    """Append the seal to an HDF5 file that is open for reading and writing.

    Args:
        file: the file, which holds only HDF5 data so far.
        data: offset and length in bytes of each piece of the features, in ascending order.
    """
    end = file.seek(0, 2)
    claims = {"end": end, "data": [list(stretch) for stretch in data]}
    line = json.dumps(claims | {"sha256": _digest(file, claims)}).encode()
    file.seek(0, 2)
    file.write(line + len(line).to_bytes(LENGTH_BYTES, "little") + MAGIC)


def check_seal(path: Path) -> bool:
    """Check the seal of a shard; returns whether it has one, which is False for a shard of an earlier version.

    Raises:
        BrokenSeal: the seal does not match the sealed bytes.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = size - LENGTH_BYTES - len(MAGIC)
        if start < 0:
            return False
        file.seek(start)
        tail = file.read()
        if not tail.endswith(MAGIC):
            return False
        n_bytes = int.from_bytes(tail[:LENGTH_BYTES], "little")
        if n_bytes > min(LONGEST, start):
            raise BrokenSeal("the seal at its end is damaged")
        file.seek(start - n_bytes)
        claims = _claims(file.read(n_bytes), start - n_bytes)
        digest = claims.pop("sha256")
        if _digest(file, claims) != digest:
            raise BrokenSeal("its structures changed since they were written")
    return True


def _claims(line: bytes, end: int) -> dict[str, Any]:
    """The content of a seal; BrokenSeal unless it belongs to HDF5 data of `end` bytes."""
    try:
        claims = json.loads(line)
        stretches = [(int(start), int(length)) for start, length in claims["data"]]
        edges = [edge for start, length in stretches for edge in (start, start + length)]
        if claims.keys() != {"end", "data", "sha256"} or claims["end"] != end:
            raise ValueError("the seal of another file")
        if not all(before <= after for before, after in pairwise([0, *edges, end])):
            raise ValueError("pieces out of order")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BrokenSeal("the seal at its end is damaged") from error
    return dict(claims)


def _digest(file: BinaryIO, claims: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(claims).encode())
    for start, stop in _sealed_ranges(claims):
        file.seek(start)
        while start < stop:
            block = file.read(min(BLOCK, stop - start))
            if not block:
                raise BrokenSeal("it was cut short")
            digest.update(block)
            start += len(block)
    return digest.hexdigest()


def _sealed_ranges(claims: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Start and stop of each piece of the file that is not part of the features."""
    start = 0
    for offset, length in claims["data"]:
        yield start, offset
        start = offset + length
    yield start, claims["end"]
